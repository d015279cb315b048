"""What a container gets, and what happens to it: real processes under a real agent."""

from __future__ import annotations

import io
import itertools
import json
import os
import signal
import time
import zipfile

from taskfleet.contract import images
from taskfleet.contract.container import JOURNAL
from taskfleet.contract.environment import INCLUDE, METRICS_PORT

from tests.local.agent.fleet import Fleet, environment_of, exists, pid_of, python, wait_for

SLEEP = ["sleep", "1000"]
GIVEN = {
    *("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    *("AWS_EC2_METADATA_DISABLED", "ECS_AGENT_URI", "SSL_CERT_FILE", "PATH", "HOME", "TMPDIR", "HOSTNAME"),
    *("PYTHONPATH", "PYTHONUNBUFFERED", JOURNAL, INCLUDE.name, METRICS_PORT.name),
}


def test_a_container_gets_exactly_its_environment_and_its_secrets(fleet: Fleet) -> None:
    secret = fleet.emulator.client("secretsmanager").create_secret(
        Name="env/broker", SecretString=json.dumps({"password": "hidden:1"})
    )["ARN"]
    fleet.emulator.client("ssm").put_parameter(Name="/env/value", Value="shown", Type="SecureString")
    fleet.serve(
        "environment",
        ["/bin/sh", "-c", "env; sleep 1000"],
        environment=[{"name": "MINE", "value": "a b=c"}],
        secrets=[
            {"name": "WHOLE", "valueFrom": secret},
            {"name": "PASSWORD", "valueFrom": f"{secret}:password::"},
            {"name": "PARAMETER", "valueFrom": "arn:aws:ssm:us-east-1:000000000000:parameter/env/value"},
        ],
    )
    (task,) = fleet.running("environment")
    values = environment_of(task)

    own = {"MINE", "WHOLE", "PASSWORD", "PARAMETER"}
    assert set(values) == GIVEN | own
    assert values["MINE"] == "a b=c"
    assert (values["PASSWORD"], values["PARAMETER"]) == ("hidden:1", "shown")
    assert values["PYTHONPATH"] == f"{fleet.source}:{fleet.directory / 'drills-path'}"
    assert os.listdir(fleet.directory / "drills-path") == ["drills"]
    assert values["SSL_CERT_FILE"] == str(fleet.directory / "ca.pem")
    assert values["HOME"].startswith(str(fleet.directory / "tasks"))
    wait_for(lambda: "MINE=a b=c" in fleet.logs("environment")[0], what="the container's log")


def test_a_secret_that_is_not_there_stops_the_task_with_the_reason(fleet: Fleet) -> None:
    fleet.serve("secretless", SLEEP, secrets=[{"name": "TOKEN", "valueFrom": "/no/such"}])
    wait_for(lambda: fleet.tasks("secretless", "STOPPED"), what="a stopped task")
    stopped = fleet.tasks("secretless", "STOPPED")[0]
    assert stopped["stopCode"] == "TaskFailedToStart"
    assert "unable to read /no/such for TOKEN" in stopped["stoppedReason"]


def test_an_image_is_unpacked_once_and_a_missing_one_is_tried_ever_more_rarely(fleet: Fleet) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("hello.py", "import time; print('hello from the image'); time.sleep(1000)")
    s3 = fleet.emulator.client("s3")
    s3.create_bucket(Bucket="assets")
    s3.put_object(Bucket="assets", Key="a/one.zip", Body=packed.getvalue())
    fleet.serve("packed", ["python", "-m", "hello"], image=images.local("assets", "a/one.zip"), desired=2)
    fleet.serve("imageless", SLEEP, image=images.local("assets", "none.zip"))
    fleet.running("packed", 2)
    wait_for(lambda: all("hello from the image" in log for log in fleet.logs("packed")), what="its output")
    assert len(list((fleet.directory / "images").iterdir())) == 1

    wait_for(lambda: fleet.tasks("imageless", "STOPPED"), what="a stopped task")
    reason = fleet.tasks("imageless", "STOPPED")[0]["stoppedReason"]
    assert "CannotPullContainerError: s3://assets/none.zip" in reason
    wait_for(lambda: len(fleet.tasks("imageless", "STOPPED")) >= 4, what="four stopped tasks")
    stops = [task["stoppedAt"].timestamp() for task in fleet.tasks("imageless", "STOPPED")]
    gaps = [later - earlier for earlier, later in itertools.pairwise(stops)]
    assert all(gap >= at_least for gap, at_least in zip(gaps, (0.5, 1, 2), strict=False)), gaps


def test_what_exits_is_started_again_and_its_exit_code_reported(fleet: Fleet) -> None:
    fleet.serve("brittle", python("import time; time.sleep(0.3); raise SystemExit(7)"))
    wait_for(lambda: len(fleet.tasks("brittle", "STOPPED")) >= 3, what="three restarts")
    stopped = fleet.tasks("brittle", "STOPPED")[0]
    assert stopped["containers"][0]["exitCode"] == 7
    assert stopped["stopCode"] == "EssentialContainerExited"
    assert "brittle: the next one starts in" in fleet.events


def test_a_killed_command_takes_its_children_with_it(fleet: Fleet) -> None:
    fleet.serve("parent", ["/bin/sh", "-c", "sleep 1000 & echo $!; wait"])
    (task,) = fleet.running("parent")
    wait_for(lambda: fleet.logs("parent")[0].strip(), what="the child's process id")
    child = int(fleet.logs("parent")[0])
    os.kill(pid_of(task), signal.SIGKILL)
    wait_for(lambda: not exists(child), what="the child's end")
    wait_for(lambda: fleet.tasks("parent", "STOPPED"), what="the report")
    assert fleet.tasks("parent", "STOPPED")[0]["containers"][0]["exitCode"] == 137


def test_stop_is_sigterm_to_the_command_then_sigkill_to_all_after_the_stop_timeout(fleet: Fleet) -> None:
    polite = (
        "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(3)); print('up'); time.sleep(1000)"
    )
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up'); time.sleep(1000)"
    fleet.serve("polite", python(polite), stopTimeout=30)
    fleet.serve("deaf", python(deaf), stopTimeout=2)
    fleet.running("polite"), fleet.running("deaf")
    wait_for(lambda: "up" in fleet.logs("polite")[0] and "up" in fleet.logs("deaf")[0], what="both")
    began = time.monotonic()
    for name in ("polite", "deaf"):
        fleet.ecs.update_service(cluster="fleet", service=name, desiredCount=0)
    wait_for(lambda: fleet.tasks("polite", "STOPPED"), what="an orderly end")
    assert time.monotonic() - began < 10
    wait_for(lambda: fleet.tasks("deaf", "STOPPED"), what="the kill")
    assert 2 <= time.monotonic() - began < 10
    assert fleet.tasks("polite", "STOPPED")[0]["containers"][0]["exitCode"] == 3
    assert fleet.tasks("deaf", "STOPPED")[0]["containers"][0]["exitCode"] == 137
    assert fleet.tasks("deaf", "STOPPED")[0]["stopCode"] == "ServiceSchedulerInitiated"


def test_an_unhealthy_container_is_replaced(fleet: Fleet) -> None:
    check = {
        "command": ["CMD-SHELL", "test -e $HOME/well || { echo no file; exit 1; }"],
        "interval": 5,
        "retries": 1,
    }
    fleet.serve("checked", ["/bin/sh", "-c", "touch $HOME/well; exec sleep 1000"], healthCheck=check)
    hung = {"command": ["CMD", "sleep", "1003"], "interval": 5, "timeout": 2, "retries": 1}
    fleet.serve("hung", SLEEP, healthCheck=hung)
    wait_for(lambda: [t for t in fleet.tasks("checked") if t["healthStatus"] == "HEALTHY"], what="health")
    (task,) = fleet.tasks("checked")
    os.unlink(environment_of(task)["HOME"] + "/well")
    wait_for(lambda: fleet.tasks("checked", "STOPPED"), what="the replacement")
    assert fleet.tasks("checked", "STOPPED")[0]["taskArn"] == task["taskArn"]
    assert "unhealthy; its last check said: no file" in fleet.events
    wait_for(lambda: fleet.tasks("hung", "STOPPED"), what="the end of what does not answer")
    assert "unhealthy; its last check said: no answer within 2 s" in fleet.events


def test_a_container_over_its_memory_is_killed_by_its_largest_process(fleet: Fleet) -> None:
    hog = "import time; held = bytearray(80 << 20); print('held'); time.sleep(1000)"
    whole = "import time; time.sleep(1); held = bytearray(80 << 20); time.sleep(1000)"
    nested = (
        f"import subprocess as s, sys, time; print(s.call([sys.executable, '-c', {hog!r}])); time.sleep(99)"
    )
    fleet.serve("whole", python(whole), memory=64)
    fleet.serve("nested", python(nested), memory=64)
    wait_for(lambda: fleet.tasks("whole", "STOPPED"), what="the kill")
    stopped = fleet.tasks("whole", "STOPPED")[0]
    assert stopped["stoppedReason"] == "OutOfMemoryError: Container killed due to memory usage"
    assert stopped["containers"][0]["exitCode"] == 137
    wait_for(lambda: "-9" in fleet.logs("nested")[0], what="the child's kill")
    assert not fleet.tasks("nested", "STOPPED")
    assert "the limit is 64 MiB; killed process" in fleet.events


def test_prometheus_finds_each_container_that_runs_but_beat_at_a_port_of_its_own(fleet: Fleet) -> None:
    listed = fleet.directory / "scraped.json"
    for name in ("low-live", "high-live-fallback", "beat-live", "beat"):
        # A port in the definition is one for all, which here only one of them could have.
        fleet.serve(name, SLEEP, environment=[{"name": METRICS_PORT.name, "value": "9808"}])
    ports = {
        f"127.0.0.1:{environment_of(*fleet.running(name))[METRICS_PORT.name]}": name
        for name in ("low-live", "high-live-fallback", "beat-live", "beat")
    }
    assert len(ports) == 4

    def found() -> dict[str, str]:
        return {one["targets"][0]: one["labels"]["service"] for one in json.loads(listed.read_text())}

    served = {at: name for at, name in ports.items() if not name.startswith("beat")}
    wait_for(lambda: found() == served, what="the list")
    fleet.ecs.update_service(cluster="fleet", service="low-live", desiredCount=0)
    wait_for(lambda: list(found().values()) == ["high-live-fallback"], what="the list without it")
