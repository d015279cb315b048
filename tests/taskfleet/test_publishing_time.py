"""How long a publish may take while a broker or SSM is away, alone and with many threads."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from celery import Celery
from taskfleet.contract.environment import FALLBACK
from taskfleet.errors import PointerUnknown, PublishError
from taskfleet.publishing.breaker import Breaker
from taskfleet.publishing.brokers import _Pooled
from taskfleet.publishing.publisher import only

from tests.support.ministack import MiniStack
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

    took, refused = _publish_in_threads(app, times=10)

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

    took, refused = _publish_in_threads(app, times=3)

    stopped_aws.signal(signal.SIGCONT)
    assert len(refused) == 3 * THREADS
    assert max(took) < 2 + ALLOWANCE_SECONDS


def test_waiting_for_connections_is_part_of_a_publishs_time(fleet: TinyFleet) -> None:
    app = _warm(fleet)
    publisher = app.taskfleet.publisher

    with _all_taken(publisher._primary._broker._pool), _all_taken(publisher._fallback._pool.get()):
        began = time.monotonic()
        with pytest.raises(PublishError, match="all connections of this process were in use"):
            app.send_task("anything", queue="low")
        assert time.monotonic() - began < 0.6 + ALLOWANCE_SECONDS

    app.send_task("anything", queue="low")
    assert fleet.waiting("low", "r1") == 2


def test_who_waited_for_a_connection_does_not_try_a_broker_that_was_found_dead(fleet: TinyFleet) -> None:
    app = _warm(fleet)
    primary = app.taskfleet.publisher._primary
    waiting = threading.Thread(target=app.send_task, args=["anything"])

    with _all_taken(primary._broker._pool):
        waiting.start()
        time.sleep(0.2)
        for _ in range(Breaker.FAILURES_TO_OPEN):
            primary._breaker.failed()
    waiting.join(10)

    assert (fleet.waiting("low", "r1"), fleet.waiting_on_sqs("low", "r1")) == (1, 2)


@contextlib.contextmanager
def _all_taken(pool: _Pooled) -> Iterator[None]:
    """All connections of the pool are in use."""
    with contextlib.ExitStack() as taken:
        for _ in range(pool._connections.limit):
            taken.enter_context(pool.acquire())
        yield


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
    with only(FALLBACK):
        app.send_task("anything", queue="low")
    return app


def _publish_in_threads(app: Celery, *, times: int) -> tuple[list[float], list[Exception]]:
    """How long each publish took, and the errors; `THREADS` threads, each ``times`` times."""
    took: list[float] = []
    refused: list[Exception] = []

    def publish() -> None:
        for _ in range(times):
            began = time.monotonic()
            try:
                app.send_task("anything", queue="low")
            except (PublishError, PointerUnknown) as error:
                refused.append(error)
            took.append(time.monotonic() - began)

    threads = [threading.Thread(target=publish) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return took, refused


def _probes() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "taskfleet-probe"}
