"""The supervisor with its real children: what dies comes back and is said, and nothing outlives it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from local import ports
from local.down import down
from local.places import VARIABLE, Places
from local.ports import Ports
from local.supervisor.status import State
from tests.local.supervisor.conftest import PASSWORD, Supervised

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")


def test_the_broker_waits_for_its_secret_and_then_takes_no_other_password(supervised: Supervised) -> None:
    child = supervised.status.children["broker"]
    assert (child.state, child.pid) == (State.WAITING, None)
    assert "taskfleet/local/broker" in child.note
    supervised.deploy_secret()
    assert supervised.broker().ping()
    with pytest.raises(redis.AuthenticationError):
        supervised.broker("another").ping()
    words = Path(f"/proc/{supervised.pid('broker')}/cmdline").read_bytes()
    words += Path(f"/proc/{supervised.pid('broker')}/environ").read_bytes()
    assert PASSWORD.encode() not in words


def test_what_is_killed_comes_back_with_its_data_and_is_reported(supervised: Supervised) -> None:
    supervised.deploy_secret()
    supervised.broker().set("kept", "yes")
    supervised.client("ssm").put_parameter(Name="/kept", Value="yes", Type="String")
    time.sleep(1)
    for name in ("broker", "front", "agent", "emulator"):
        before = supervised.pid(name)
        os.kill(before, signal.SIGKILL)
        supervised.wait(
            lambda name=name, before=before: (
                supervised.runs(name) and supervised.status.children[name].pid not in (None, before)
            ),
            what=f"{name} again",
        )
        assert supervised.status.children[name].restarts == 1
    assert supervised.broker().get("kept") == "yes"
    assert supervised.client("ssm").get_parameter(Name="/kept")["Parameter"]["Value"] == "yes"


def test_a_second_node_replicates_is_promoted_and_stays_primary(supervised: Supervised) -> None:
    assert supervised.status.children["broker-2"].state is State.WAITING
    supervised.deploy_secret()
    supervised.deploy_nodes(2)
    supervised.wait(lambda: supervised.runs("broker-2"), what="the replica")

    def kept_twice() -> bool:
        writing = supervised.broker().pipeline(transaction=False).set("kept", "yes")
        return writing.execute_command("WAIT", 1, 100).execute() == [True, 1]

    supervised.wait(kept_twice, what="replication")
    os.kill(supervised.pid("broker"), signal.SIGKILL)
    failover = [sys.executable, "-m", "local.broker.failover"]
    done = subprocess.run(
        failover,
        env={**os.environ, VARIABLE: str(supervised.places.root)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "the primary is broker-2\n"), done.stderr
    moved = supervised.broker()
    assert moved.info("server")["tcp_port"] == supervised.ports.replica
    assert moved.get("kept") == "yes"
    moved.set("since", "then")
    for name in ("front", "broker", "broker-2"):  # whoever starts again keeps its part
        before = supervised.pid(name)
        os.kill(before, signal.SIGKILL)
        supervised.wait(
            lambda name=name, before=before: (
                supervised.runs(name) and supervised.status.children[name].pid != before
            ),
            what=f"{name} again",
        )
    assert supervised.broker().info("server")["tcp_port"] == supervised.ports.replica
    assert supervised.broker().get("since") == "then"
    supervised.wait(
        lambda: supervised.broker().info("replication")["connected_slaves"] == 1, what="the old primary"
    )


def test_a_second_supervisor_of_the_same_folder_refuses(supervised: Supervised) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "local.supervisor"],
        env={**os.environ, VARIABLE: str(supervised.places.root)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert second.returncode == 2
    assert "make down" in second.stdout


def test_down_leaves_no_process_and_no_file_but_the_logs(supervised: Supervised) -> None:
    supervised.deploy_secret()
    assert len(supervised.processes()) >= 5
    assert down(supervised.places) == []  # nothing had to be killed
    assert supervised.processes() == []
    assert [path.name for path in supervised.places.root.iterdir()] == ["logs"]


def test_a_killed_supervisor_takes_everything_with_it_and_down_still_works(supervised: Supervised) -> None:
    supervised.deploy_secret()
    assert supervised.process is not None
    supervised.process.kill()
    supervised.process.wait()
    supervised.wait(lambda: supervised.processes() == [], what="the end of every child")
    down(supervised.places)
    assert [path.name for path in supervised.places.root.iterdir()] == ["logs"]


def test_down_without_a_fleet_is_no_error(tmp_path: Path) -> None:
    assert down(Places(tmp_path / "nothing")) == []


def test_ports_are_free_distinct_and_kept(tmp_path: Path) -> None:
    chosen = Ports.choose(tmp_path / "ports.json")
    assert len({chosen.emulator, chosen.broker, chosen.valkey, chosen.replica}) == 4
    assert chosen.taken() == []
    assert Ports.load(tmp_path / "ports.json") == chosen


def test_ports_that_a_fleet_will_listen_on_are_nobody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = Ports.choose(tmp_path / "ports.json")
    monkeypatch.setattr(ports, "_PORTS", (chosen.replica, chosen.replica + 1))
    monkeypatch.setattr(ports, "_HELD", [])
    with socket.socket() as probe:
        assert ports.bind(probe) == chosen.replica

    chosen.reserve()

    with socket.socket() as probe, pytest.raises(OSError, match="no free port"):
        ports.bind(probe)
