"""A worker that is told to stop ends in time, whatever hangs."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time

import pytest
from taskfleet.contract import environment as env

from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet

RECORD = "drills.record"


def _seconds_to_end(worker: subprocess.Popen[bytes]) -> float:
    began = time.monotonic()
    worker.terminate()
    worker.wait(40)
    return time.monotonic() - began


def test_a_broker_that_hangs_holds_up_the_end_once_and_not_for_each_message(fleet: TinyFleet) -> None:
    threads = {env.EXECUTION.name: "threads", env.CONCURRENCY.name: "40"}
    worker = fleet.start_worker("r1", **threads, **{env.SOFT_SHUTDOWN_SECONDS.name: "2"})
    app = fleet.app()
    for n in range(40):
        app.send_task(RECORD, ["long", n, 60])
    wait_for(lambda: fleet.valkey.client().hlen("unacked") == 40, what="the fetch of all")

    fleet.valkey.pause()

    assert _seconds_to_end(worker) < 30


@pytest.mark.parametrize("broker", [env.PRIMARY, env.FALLBACK])
def test_threads_that_outlast_the_soft_shutdown_are_left_and_their_messages_returned(
    fleet: TinyFleet, broker: str
) -> None:
    threads = {
        env.EXECUTION.name: "threads",
        env.CONCURRENCY.name: "1",
        env.SOFT_SHUTDOWN_SECONDS.name: "1",
        env.BROKER.name: broker,
    }
    worker = fleet.start_worker("r1", **threads)
    app = fleet.app()
    if broker == env.FALLBACK:
        fleet.valkey.kill()
    app.send_task(RECORD, ["long", 1, 60])
    wait_for(lambda: list(fleet.events("began")), what="a running task")

    assert _seconds_to_end(worker) < 15

    assert worker.returncode == 0
    if broker == env.PRIMARY:
        assert fleet.waiting("low", "r1") == 1
    else:
        fleet.start_worker("r1", **threads)
        wait_for(lambda: len(list(fleet.events("began"))) == 2, what="the second run")


def test_what_comes_to_sqs_as_a_worker_ends_does_not_wait_for_its_lease(fleet: TinyFleet) -> None:
    """Its long poll is under way: SQS may give it a message that is hidden from others for a minute then."""
    on_sqs = {env.BROKER.name: env.FALLBACK}
    app = fleet.app()
    fleet.valkey.kill()
    worker = fleet.start_worker("r1", **on_sqs, **{env.SOFT_SHUTDOWN_SECONDS.name: "30"})
    app.send_task(RECORD, ["before", 1])
    fleet.wait_executed("before", 1, seconds=60)
    worker.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        worker.wait(4)

    app.send_task(RECORD, ["after", 1])

    fleet.start_worker("r1", **on_sqs)
    fleet.wait_executed("after", 1, seconds=40)
    worker.wait(60)


@pytest.mark.parametrize("execution", ["prefork", "threads"])
def test_hup_lets_what_runs_end_and_starts_the_worker_anew_in_its_process(
    fleet: TinyFleet, execution: str
) -> None:
    worker = fleet.start_worker("r1", **{env.EXECUTION.name: execution, env.CONCURRENCY.name: "1"})
    app = fleet.app()
    app.send_task(RECORD, ["before", 1, 1])
    wait_for(lambda: list(fleet.events("began")), what="a running task")

    worker.send_signal(signal.SIGHUP)

    log = worker.place / "log"  # type: ignore[attr-defined]
    wait_for(lambda: log.read_text().count("ready.") == 2, seconds=60, what="its second start")
    app.send_task(RECORD, ["after", 1])
    fleet.wait_executed("before", 1)
    fleet.wait_executed("after", 1)
    assert worker.poll() is None
    assert fleet.waiting("low", "r1") == 0
