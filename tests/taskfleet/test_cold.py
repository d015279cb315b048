"""The first publish of a process, when what it must ask first does not answer."""

from __future__ import annotations

import signal
import threading
import time

import pytest
from celery import Celery
from taskfleet import aws, install
from taskfleet.brokers import credentials
from taskfleet.errors import PointerUnknown, PublishError, TaskfleetError

from tests.support.ministack import MiniStack
from tests.support.tiny_fleet import TinyFleet

THREADS = 10
# For a busy machine: each of the clients of AWS takes a tenth of a second of the processor to make.
ALLOWANCE_SECONDS = 1.0


@pytest.fixture
def cold(fleet: TinyFleet, stopped_aws: MiniStack, monkeypatch: pytest.MonkeyPatch) -> Celery:
    """An application whose process has asked nobody anything."""
    monkeypatch.setattr(credentials, "_shared", None)
    app = install(Celery("cold", set_as_current=False))
    app.taskfleet.bind(fleet.settings())
    return app


def test_when_everything_is_mute_all_threads_are_told_in_time(
    fleet: TinyFleet, cold: Celery, stopped_aws: MiniStack
) -> None:
    fleet.valkey.pause()
    stopped_aws.signal(signal.SIGSTOP)

    told, took = _publish_at_once(cold)

    stopped_aws.signal(signal.SIGCONT)
    assert {type(error) for error in told} == {PointerUnknown}
    assert all("can't be read" in str(error) for error in told)
    assert took < 2 + ALLOWANCE_SECONDS


def test_when_the_brokers_and_the_password_are_mute_all_threads_are_told_in_time(
    fleet: TinyFleet, cold: Celery, stopped_aws: MiniStack
) -> None:
    cold.taskfleet.releases.queues(cold.taskfleet.releases.current())
    fleet.valkey.pause()
    stopped_aws.signal(signal.SIGSTOP)
    aws._clients.after_fork()

    told, took = _publish_at_once(cold)

    stopped_aws.signal(signal.SIGCONT)
    assert {type(error) for error in told} == {PublishError}
    assert took < 2 + ALLOWANCE_SECONDS


def _publish_at_once(app: Celery) -> tuple[list[TaskfleetError], float]:
    """What each of `THREADS` threads was told, and how long the last of them took."""
    told: list[TaskfleetError] = []
    start = threading.Barrier(THREADS)

    def publish() -> None:
        start.wait(10)
        try:
            app.send_task("anything", queue="low")
        except TaskfleetError as error:
            told.append(error)

    threads = [threading.Thread(target=publish) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    for thread in threads:
        thread.join(60)
    assert len(told) == THREADS
    return told, time.monotonic() - began
