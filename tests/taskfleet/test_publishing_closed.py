"""A release is retired and its queues are closed: producers that still know it follow, or are told."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from taskfleet import aws
from taskfleet.brokers.redis import closing
from taskfleet.brokers.sqs import closing as sqs_closing
from taskfleet.contract import names
from taskfleet.errors import PublishError, QueueClosed

from tests.support.ministack import MiniStack
from tests.support.publishing import in_threads
from tests.support.tiny_fleet import QUEUES, TinyFleet


def close(fleet: TinyFleet, release: str) -> None:
    closing.close(fleet.valkey.client(), [f"{queue}.{release}" for queue in QUEUES])


def test_a_producer_that_knows_the_old_pointer_publishes_to_the_current_release(fleet: TinyFleet) -> None:
    app = fleet.app()
    app.send_task("anything", queue="low")
    fleet.deploy("r2")
    fleet.promote("r2")
    close(fleet, "r1")

    for number in range(3):
        assert app.send_task("anything", queue="low", task_id=f"task-{number}").id == f"task-{number}"

    assert (fleet.waiting("low", "r1"), fleet.waiting("low", "r2")) == (1, 3)
    assert fleet.waiting_on_sqs("low", "r1") == 0


def test_a_group_stays_on_the_release_of_its_first_task_until_that_is_closed(fleet: TinyFleet) -> None:
    app = fleet.app()
    app.send_task("anything", queue="low", group_id="a-group")
    fleet.deploy("r2")
    fleet.promote("r2")
    app.taskfleet.releases.renew(within_seconds=10)

    app.send_task("anything", queue="low", group_id="a-group")
    app.send_task("anything", queue="low", group_id="another")
    assert (fleet.waiting("low", "r1"), fleet.waiting("low", "r2")) == (2, 1)

    close(fleet, "r1")
    app.send_task("anything", queue="low", group_id="a-group")
    assert (fleet.waiting("low", "r1"), fleet.waiting("low", "r2")) == (2, 2)


def test_so_do_all_threads_of_it(fleet: TinyFleet) -> None:
    app = fleet.app()
    app.send_task("anything", queue="low")
    fleet.deploy("r2")
    fleet.promote("r2")
    close(fleet, "r1")

    _took, refused = in_threads(app, threads=20)

    assert refused == []
    assert fleet.waiting("low", "r2") == 20


def test_a_pinned_producer_is_told_what_to_do(fleet: TinyFleet) -> None:
    app = fleet.app(pinned_release="r1")
    app.send_task("anything", queue="low")
    fleet.deploy("r2")
    fleet.promote("r2")
    close(fleet, "r1")

    for _ in range(4):  # the broker is well: its breaker stays closed
        with pytest.raises(QueueClosed, match=r"release r1 is retired .*TASKFLEET_PINNED_RELEASE"):
            app.send_task("anything", queue="low")

    assert (fleet.waiting("low", "r1"), fleet.waiting_on_sqs("low", "r1")) == (1, 0)


def test_a_pointer_that_cannot_be_read_anew_is_said_in_time_and_nothing_is_stranded(
    fleet: TinyFleet, stopped_aws: MiniStack
) -> None:
    app = fleet.app()
    app.send_task("anything", queue="low")
    close(fleet, "r1")
    stopped_aws.signal(signal.SIGKILL)

    with pytest.raises(QueueClosed, match="release r1 is retired"):
        app.send_task("anything", queue="low")

    assert fleet.waiting("low", "r1") == 1


@pytest.fixture
def strict_aws(tmp_path: Path) -> Iterator[MiniStack]:
    """An account that keeps to the policies of queues."""
    account = MiniStack(tmp_path, AUTH="true")
    account.start()
    yield account
    account.stop()


def test_on_sqs_a_producer_follows_as_well_and_a_pinned_one_is_told(
    fleet: TinyFleet, strict_aws: MiniStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis is gone, and what they know is old: of the one the queue is closed, of the other it is gone."""
    for variable, value in strict_aws.environment.items():
        monkeypatch.setenv(variable, value)
    aws._clients.after_fork()
    fleet.move(strict_aws)
    app, late, pinned = fleet.app(), fleet.app(), fleet.app(pinned_release="r1")
    for each in (app, late, pinned):
        each.send_task("anything", queue="low")
        each.taskfleet.releases._current._until = math.inf
    fleet.valkey.kill()
    pinned.send_task("anything", queue="low")
    fleet.deploy("r2")
    fleet.promote("r2")
    sqs, twin = strict_aws.client("sqs"), names.fallback_queue(fleet.name, "low", "r1")

    assert sqs_closing.close(sqs, [twin])
    assert not sqs_closing.close(sqs, [twin])
    app.send_task("anything", queue="low")
    with pytest.raises(PublishError, match="AccessDenied"):
        pinned.send_task("anything", queue="low")

    assert (fleet.waiting_on_sqs("low", "r1"), fleet.waiting_on_sqs("low", "r2")) == (1, 1)
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=twin)["QueueUrl"])
    late.send_task("anything", queue="low")
    assert fleet.waiting_on_sqs("low", "r2") == 2
