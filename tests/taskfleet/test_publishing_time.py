"""How long a publish may take while a broker or SSM is away, alone and with many threads."""

from __future__ import annotations

import signal
import threading
import time

import pytest
from celery import Celery
from taskfleet.contract.environment import FALLBACK
from taskfleet.errors import PublishError
from taskfleet.publishing.publisher import force_broker

from tests.support.ministack import MiniStack
from tests.support.publishing import in_threads
from tests.support.tiny_fleet import TinyFleet

THREADS = 40
# What a busy machine and an emulated SQS may add. The promises themselves are the drills' to hold.
ALLOWANCE_SECONDS = 1.0


def test_when_redis_hangs_a_publish_is_bounded_and_the_breaker_opens(fleet: TinyFleet) -> None:
    app = fleet.app()
    app.send_task("anything", queue="low")
    fleet.valkey.pause()

    took = [_seconds(app) for _ in range(6)]

    assert fleet.waiting_on_sqs("low", "r1") == 6
    assert max(took) < 1 + ALLOWANCE_SECONDS
    assert min(took[2:]) < 0.25, "the breaker is open: nobody waits for Redis"


def _seconds(app: Celery) -> float:
    began = time.monotonic()
    app.send_task("anything", queue="low")
    return time.monotonic() - began


def test_when_no_broker_answers_the_caller_is_told_within_two_seconds(
    fleet: TinyFleet, stopped_aws: MiniStack
) -> None:
    app = fleet.app()
    app.send_task("anything", queue="low")  # so that pointer and manifest are known
    fleet.valkey.pause()
    for fault in (signal.SIGSTOP, signal.SIGKILL):
        stopped_aws.signal(fault)
        began = time.monotonic()
        with pytest.raises(
            PublishError, match=r"no broker accepted task anything .* for low\.r1.*Redis: .*SQS: "
        ):
            app.send_task("anything", queue="low")
        assert time.monotonic() - began < 2 + ALLOWANCE_SECONDS


def test_many_threads_publish_through_an_outage(fleet: TinyFleet) -> None:
    app = _warm(fleet)
    before = _probes()  # those of other tests, whose brokers never came back
    fleet.valkey.pause()

    took, refused = in_threads(app, threads=THREADS, times=10)

    fleet.valkey.resume()
    assert not refused
    assert max(took) < 1 + ALLOWANCE_SECONDS
    assert len(_probes() - before) <= 1
    # At least once: one that timed out may be on both.
    assert fleet.waiting("low", "r1") + fleet.waiting_on_sqs("low", "r1") >= 2 + 10 * THREADS


def test_many_threads_are_told_in_time_when_no_broker_answers(
    fleet: TinyFleet, stopped_aws: MiniStack
) -> None:
    app = _warm(fleet)
    fleet.valkey.pause()
    stopped_aws.signal(signal.SIGSTOP)

    took, refused = in_threads(app, threads=THREADS, times=3)

    stopped_aws.signal(signal.SIGCONT)
    assert len(refused) == 3 * THREADS
    assert max(took) < 2 + ALLOWANCE_SECONDS


def test_a_pointer_that_cannot_be_read_again_holds_nobody_up(
    fleet: TinyFleet, stopped_aws: MiniStack
) -> None:
    app = fleet.app()
    app.send_task("anything", queue="low")
    stopped_aws.signal(signal.SIGSTOP)

    took = []
    for _ in range(3):
        app.taskfleet.releases.expire()
        took.append(_seconds(app))

    stopped_aws.signal(signal.SIGCONT)
    assert min(took) < 0.6, "an answer from SSM would be waited for longer"
    assert fleet.waiting("low", "r1") == 4


def _warm(fleet: TinyFleet) -> Celery:
    """An application that has published to both brokers."""
    app = fleet.app()
    app.send_task("anything", queue="low")
    with force_broker(FALLBACK):
        app.send_task("anything", queue="low")
    return app


def _probes() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "taskfleet-probe"}
