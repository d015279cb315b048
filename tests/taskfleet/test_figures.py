"""What workers count of their tasks, in each kind of pool and on both brokers, as it is read from Redis."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import redis
from taskfleet.contract import environment as env
from taskfleet.contract import figures
from taskfleet.contract.messages import PUBLISHED_AT_HEADER, REDIS_ACCEPTED
from taskfleet.measuring import tasks
from taskfleet.measuring.tasks import Figures
from taskfleet.publishing import outgoing
from taskfleet.publishing.publisher import force_broker

from tests.support.processes import free_port, wait_for
from tests.support.tiny_fleet import TinyFleet

APP = {env.APP.name: "tests.taskfleet.dead_letters.tasks:app"}
RECORD = "drills.record"
EXECUTIONS = ["prefork", "threads", "gevent"]


def read(fleet: TinyFleet) -> dict[tasks.Key, Figures]:
    now = time.time()
    return tasks.read(fleet.valkey.client(), fleet.name, "r1", now - 600, now + 60)


def ended(fleet: TinyFleet, worker: subprocess.Popen[bytes]) -> dict[tasks.Key, Figures]:
    """The figures once the worker has ended in order."""
    worker.terminate()
    assert worker.wait(40) == 0
    return read(fleet)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_each_end_is_counted_once_with_its_exception(fleet: TinyFleet, execution: str) -> None:
    worker = fleet.start_worker("r1", "low,high", **APP, **{env.EXECUTION.name: execution})
    app = fleet.app()
    for _ in range(3):
        app.send_task("ends.badly", [7])
    for name in ("retried", "ignored", "rejected", "as-expected", "in-memory", "early", "retried-well"):
        app.send_task(f"ends.{name}")
    app.send_task("ends.well", [1], queue="high")
    app.send_task("ends.well", [2], expires=datetime.now(UTC) - timedelta(seconds=5))
    fleet.wait_executed("well", 1)
    wait_for(lambda: fleet.dead_letters("low") == 7, seconds=60, what="the letters")

    found = ended(fleet, worker)

    assert found["high", "ends.well"].succeeded == 1
    assert found["low", "ends.well"].expired == 1
    assert found["low", "ends.well"].runtime.count == 0
    badly = found["low", "ends.badly"]
    assert (badly.failed, badly.ended, badly.exceptions) == (3, 3, {"KeyError": 3})
    assert badly.runtime.count == badly.wait.count == 3
    retried = found["low", "ends.retried"]
    assert (retried.retried, retried.failed, retried.exceptions) == (2, 1, {"ConnectionError": 3})
    well = found["low", "ends.retried-well"]
    assert (well.retried, well.succeeded, well.exceptions) == (1, 1, {"Retry": 1})
    assert found["low", "ends.ignored"].ignored == 1
    assert found["low", "ends.rejected"].rejected == 1
    for name, exception in (
        ("as-expected", "OutOfStock"),
        ("in-memory", "MemoryError"),
        ("early", "ValueError"),
    ):
        each = found["low", f"ends.{name}"]
        assert (each.failed, each.ended, each.exceptions) == (1, 1, {exception: 1}), name


@pytest.mark.parametrize("broker", [env.PRIMARY, env.FALLBACK])
@pytest.mark.parametrize("execution", EXECUTIONS)
def test_wait_and_run_time_are_those_of_the_tasks(fleet: TinyFleet, execution: str, broker: str) -> None:
    app = fleet.app()
    sent_at = time.time()
    with force_broker(broker):
        for n in range(4):
            app.send_task(RECORD, ["it", n, 0.5], priority=n)
        app.send_task(RECORD, ["it", 4, 0.5], countdown=2)
    time.sleep(1.5)

    worker = fleet.start_worker(
        "r1", **{env.EXECUTION.name: execution, env.BROKER.name: broker, env.CONCURRENCY.name: "5"}
    )
    fleet.wait_executed("it", 5, seconds=40)
    latest = max(line["at"] for line in fleet.events("record")) - 0.5 - sent_at
    found = ended(fleet, worker)["low", RECORD]

    assert found.succeeded == found.runtime.count == found.wait.count == 5
    assert 2.5 <= found.runtime.sum < 4
    assert found.waits.keys() == {0, 3}
    assert found.waits[3].count == 1
    assert 1.5 <= found.waits[3].sum <= latest + 0.1
    assert found.unknown_waits == 0
    assert (found.memory_gib.count > 0) is (execution == "prefork")


@pytest.mark.parametrize("broker", [env.PRIMARY, env.FALLBACK])
@pytest.mark.parametrize("ahead", [-5.0, 5.0])
def test_a_producer_s_clock_that_is_wrong_changes_no_wait(
    fleet: TinyFleet, monkeypatch: pytest.MonkeyPatch, broker: str, ahead: float
) -> None:
    app = fleet.app()
    wrong = SimpleNamespace(time=lambda: time.time() + ahead, monotonic=time.monotonic)
    monkeypatch.setattr(outgoing, "time", wrong)
    sent_at = time.time()
    with force_broker(broker):
        app.send_task(RECORD, ["it", 1])
    time.sleep(2)

    worker = fleet.start_worker("r1", **{env.BROKER.name: broker})
    fleet.wait_executed("it", 1)
    (line,) = fleet.events("record")
    found = ended(fleet, worker)["low", RECORD]

    assert found.wait.sum == pytest.approx(line["at"] - sent_at, abs=0.3)
    assert found.unsure_waits == 0


def test_a_wait_that_two_clocks_measured_is_marked(fleet: TinyFleet) -> None:
    app = fleet.app()
    app.send_task(RECORD, ["it", 1])
    client = fleet.valkey.client()
    # As a producer of the version before pushed it, and one that knows nothing of Taskfleet.
    text = client.rpop("low.r1")
    assert isinstance(text, str)
    head, _, rest = text.partition(", ")
    assert REDIS_ACCEPTED in head
    client.lpush("low.r1", "{" + rest)
    client.lpush("low.r1", "{" + rest.replace(PUBLISHED_AT_HEADER, "something_else"))

    worker = fleet.start_worker("r1")
    wait_for(lambda: len(fleet.executed("it")) == 2, what="both")
    found = ended(fleet, worker)["low", RECORD]

    assert (found.succeeded, found.wait.count) == (2, 1)
    assert (found.unsure_waits, found.unknown_waits) == (1, 1)


def test_what_recycled_and_killed_children_ran_is_counted_and_leaves_nothing(fleet: TinyFleet) -> None:
    worker = fleet.start_worker("r1", **{env.MAX_TASKS_PER_CHILD.name: "1"})
    app = fleet.app()
    for n in range(60):
        app.send_task(RECORD, ["it", n])
    app.send_task("drills.die", ["killed", 1, 1])
    fleet.wait_executed("it", 60, seconds=60)
    fleet.wait_executed("killed", 1, seconds=60)
    files = [each.name.partition("-")[0] for each in worker.place.rglob("*")]  # type: ignore[attr-defined]

    found = ended(fleet, worker)

    assert found["low", RECORD].succeeded == 60
    died = found["low", "drills.die"]
    assert (died.lost, died.succeeded, died.exceptions) == (1, 1, {"WorkerLostError": 1})
    # Its log, its stamp, and what multiprocessing has once for a worker, however many children it had.
    assert sorted(files) == ["log", "pymp", "taskfleet"]


def test_a_task_that_passes_its_hard_limit_has_failed(fleet: TinyFleet) -> None:
    worker = fleet.start_worker("r1", **APP)
    fleet.app().send_task("ends.late")
    wait_for(lambda: fleet.dead_letters("low") == 1, seconds=30, what="the letter")

    found = ended(fleet, worker)["low", "ends.late"]

    assert (found.failed, found.exceptions) == (1, {"TimeLimitExceeded": 1})
    assert found.runtime.sum > 1.9


def test_a_worker_hands_over_while_it_runs_and_keeps_what_redis_does_not_take(fleet: TinyFleet) -> None:
    fleet.start_worker("r1")
    app = fleet.app()
    app.send_task(RECORD, ["it", 1])
    wait_for(lambda: read(fleet), seconds=figures.EVERY_SECONDS + 5, what="figures")

    app.send_task(RECORD, ["it", 2])
    fleet.wait_executed("it", 2)
    fleet.valkey.pause()
    time.sleep(figures.EVERY_SECONDS + 4)
    fleet.valkey.resume()

    def counted() -> int:
        try:
            return read(fleet)["low", RECORD].succeeded
        except redis.RedisError:
            return 0

    wait_for(lambda: counted() >= 2, seconds=figures.EVERY_SECONDS + 10, what="the second")
    time.sleep(figures.EVERY_SECONDS + 2)
    assert counted() == 2


def test_prometheus_scrapes_a_worker_that_has_a_port(fleet: TinyFleet) -> None:
    port = free_port()
    fleet.start_worker("r1", **{env.METRICS_PORT.name: str(port), env.MAX_TASKS_PER_CHILD.name: "1"})
    app = fleet.app()
    for n in range(6):
        app.send_task(RECORD, ["it", n])
    app.send_task("drills.fail", ["failing", 1, 1])
    fleet.wait_executed("it", 6)
    fleet.wait_executed("failing", 1)

    def scraped() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
            return str(reply.read().decode())

    wait_for(lambda: '"succeeded"' in scraped() and "} 6.0" in scraped(), what="six of them")
    text = scraped()
    lines = {name: value for name, _, value in (line.rpartition(" ") for line in text.splitlines())}
    by_labels = {
        (name.partition("{")[0], frozenset(name.partition("{")[2].rstrip("}").split(","))): value
        for name, value in lines.items()
    }

    def value(name: str, task: str, **more: str) -> float:
        pool = {"environment": fleet.name, "release": "r1", "pool": "low", "queue": "low"}
        labels = {**pool, "task": task, **more}
        return float(by_labels[name, frozenset(f'{k}="{v}"' for k, v in labels.items())])

    assert value("taskfleet_tasks_total", RECORD, outcome="succeeded") == 6
    assert value("taskfleet_task_runtime_seconds_count", RECORD) == 6
    assert value("taskfleet_task_wait_seconds_bucket", RECORD, priority="0", le="+Inf") == 6
    assert value("taskfleet_tasks_total", "drills.fail", outcome="retried") == 1
    assert value("taskfleet_task_exceptions_total", "drills.fail", exception="RuntimeError") == 1
