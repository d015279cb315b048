"""Publishing against real brokers: where a task goes, and what happens when a broker is gone."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time

import pytest
from celery import Celery
from taskfleet import install
from taskfleet.contract import parameters
from taskfleet.contract.environment import FALLBACK
from taskfleet.contract.limits import (
    FALLBACK_MAX_ETA_SECONDS,
    FALLBACK_MAX_TIME_LIMIT_SECONDS,
    MESSAGE_BODY_MAX_BYTES,
)
from taskfleet.errors import CountdownTooLong, MessageTooLarge, PointerUnknown, PublishError, UnknownQueue
from taskfleet.publishing.publisher import force_broker
from taskfleet.settings import WorkerSettings

from tests.support.ministack import MiniStack
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet


def test_a_task_goes_to_its_queue_of_the_current_release(fleet: TinyFleet) -> None:
    before = time.time()

    fleet.app().send_task("anything", args=[1], queue="high")

    [raw] = fleet.valkey.client().lrange("high.r1", 0, -1)
    headers = json.loads(raw)["headers"]
    assert headers["taskfleet_release"] == "r1"
    assert before <= headers["taskfleet_published_at"] <= time.time()
    assert headers["task"] == "anything"


def test_a_task_without_a_queue_goes_to_the_default_one(fleet: TinyFleet) -> None:
    fleet.app().send_task("anything")

    assert fleet.waiting("low", "r1") == 1


def test_a_pinned_producer_publishes_to_its_own_release(fleet: TinyFleet) -> None:
    fleet.deploy("r2")

    fleet.app(pinned_release="r2").send_task("anything", queue="low")

    assert fleet.waiting("low", "r2") == 1


def test_installing_twice_changes_nothing(fleet: TinyFleet) -> None:
    app = fleet.app()

    install(app).send_task("anything", queue="low")

    assert fleet.waiting("low", "r1") == 1


def test_installing_needs_neither_environment_nor_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("TASKFLEET_", "AWS_"))]:
        monkeypatch.delenv(name)

    app = install(Celery("anywhere", set_as_current=False))

    assert app.conf.accept_content == ["json"]
    assert app.conf.task_acks_late is True


def test_a_queue_that_the_release_does_not_have_is_refused(fleet: TinyFleet) -> None:
    with pytest.raises(UnknownQueue, match=r"release r1 has no queue 'hihg'.*high, low"):
        fleet.app().send_task("anything", queue="hihg")


def test_a_task_that_names_no_queue_goes_to_the_default_queue_of_its_release(fleet: TinyFleet) -> None:
    fleet.app().send_task("anything")

    assert fleet.waiting("low", "r1") == 1


def test_a_queue_named_celery_is_a_queue_like_others(fleet: TinyFleet) -> None:
    fleet.deploy("r2", queues=("low", "celery"))
    fleet.promote("r2")

    fleet.app().send_task("anything")

    assert (fleet.waiting("celery", "r2"), fleet.waiting("low", "r2")) == (1, 0)


def test_an_eta_that_is_farther_than_the_pool_takes_is_refused_with_both(fleet: TinyFleet) -> None:
    fleet.deploy("r2", longest_countdown_seconds=60)
    fleet.promote("r2")
    app = fleet.app()

    with pytest.raises(
        CountdownTooLong, match=r"in 864000 s, and the pool of queue 'low' takes 60 s at most"
    ):
        app.send_task("anything", countdown=10 * 24 * 3600)
    app.send_task("anything", countdown=60)


def test_an_environment_without_a_release_is_said(fleet: TinyFleet) -> None:
    fleet.aws.client("ssm").delete_parameter(Name=parameters.current_release(fleet.name))

    with pytest.raises(PointerUnknown, match="has no current release yet"):
        fleet.app().send_task("anything", queue="low")


def test_what_is_not_json_is_the_callers_error_and_goes_nowhere(fleet: TinyFleet) -> None:
    with pytest.raises(Exception, match="not JSON serializable"):
        fleet.app().send_task("anything", args=[object()], queue="low")

    assert (fleet.waiting("low", "r1"), fleet.waiting_on_sqs("low", "r1")) == (0, 0)


def test_when_redis_is_killed_the_same_task_goes_to_sqs_and_later_ones_return(fleet: TinyFleet) -> None:
    app = fleet.app()
    app.send_task("anything", queue="low")
    fleet.valkey.kill()

    for n in range(3):
        assert app.send_task("anything", queue="low", task_id=f"task-{n}").id == f"task-{n}"

    assert _ids_on_sqs(fleet) == {"task-0", "task-1", "task-2"}
    fleet.valkey.start()
    wait_for(
        lambda: app.send_task("anything", queue="low") and fleet.waiting("low", "r1") >= 2, what="failback"
    )


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_arguments_over_the_limit_are_refused_at_the_caller(
    fleet: TinyFleet, compression: str | None
) -> None:
    app = fleet.app()
    overhead = len(
        json.dumps([[""], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    )
    fits = "x" * (MESSAGE_BODY_MAX_BYTES - overhead)

    app.send_task("anything", [fits], compression=compression)
    with pytest.raises(
        MessageTooLarge,
        match=r"the arguments of anything \(.*\) have 262145 bytes .*largest is argument 1, a str of 2620",
    ):
        app.send_task("anything", [fits + "x"], compression=compression)

    assert (fleet.waiting("low", "r1"), fleet.waiting_on_sqs("low", "r1")) == (1, 0)


def test_the_largest_message_fits_into_sqs_whatever_its_characters_are(fleet: TinyFleet) -> None:
    """Quotes and backslashes are escaped once in the body and once more in the message around it."""
    app = fleet.app()
    with force_broker(FALLBACK):
        for character in ('"', "\\", "é", "x", "\n"):
            size = len(json.dumps(character)) - 2
            app.send_task("anything", [character * ((MESSAGE_BODY_MAX_BYTES - 200) // size)])

    assert fleet.waiting_on_sqs("low", "r1") == 5


def _ids_on_sqs(fleet: TinyFleet) -> set[str]:
    sqs = fleet.aws.client("sqs")
    url = sqs.get_queue_url(QueueName=f"taskfleet-{fleet.name}-low-r1")["QueueUrl"]
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    return {json.loads(message["Body"])["headers"]["id"] for message in messages}


def test_a_workers_publish_waits_for_a_broker_a_while(fleet: TinyFleet) -> None:
    app = fleet.app()
    app.send_task("anything", queue="low")
    fleet.valkey.kill()
    publisher = app.taskfleet.publisher
    publisher._patience_seconds = WorkerSettings.publish_patience_seconds
    back = threading.Timer(2, fleet.valkey.start)
    back.start()

    with force_broker("primary"):
        app.send_task("anything", queue="low")

    back.join()
    assert fleet.waiting("low", "r1") == 2


def test_when_ssm_is_gone_the_release_that_was_known_holds(fleet: TinyFleet, stopped_aws: MiniStack) -> None:
    app = fleet.app()
    app.send_task("anything", queue="low")
    stopped_aws.signal(signal.SIGKILL)
    app.taskfleet.releases.expire()

    app.send_task("anything", queue="low")

    assert fleet.waiting("low", "r1") == 2


def test_a_forked_process_publishes_on_connections_of_its_own(fleet: TinyFleet) -> None:
    app = fleet.app()
    app.send_task("anything", queue="low")

    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            for _ in range(20):
                app.send_task("anything", queue="low")
            os._exit(0)
        children.append(child)
    for _ in range(20):
        app.send_task("anything", queue="low")

    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert fleet.waiting("low", "r1") == 81


def test_an_eta_farther_than_sqs_can_hold_is_refused_there(fleet: TinyFleet) -> None:
    app = fleet.app()
    with force_broker("fallback"):
        app.send_task("anything", queue="low", countdown=FALLBACK_MAX_ETA_SECONDS - 60)
        with pytest.raises(PublishError, match="it takes an ETA of 216000 s ahead at most"):
            app.send_task("anything", queue="low", countdown=FALLBACK_MAX_ETA_SECONDS + 60)

    assert fleet.waiting_on_sqs("low", "r1") == 1
    assert fleet.waiting("low", "r1") == 0


def test_a_task_that_may_run_for_longer_than_sqs_can_hide_it_is_refused_there(fleet: TinyFleet) -> None:
    app = fleet.app()
    with force_broker("fallback"):
        app.send_task("anything", queue="low", time_limit=FALLBACK_MAX_TIME_LIMIT_SECONDS)
        with pytest.raises(PublishError, match="it takes a hard time limit of 43140 s at most") as refused:
            app.send_task("anything", queue="low", time_limit=12 * 3600, soft_time_limit=60)

    assert not refused.value.may_run
    assert fleet.waiting_on_sqs("low", "r1") == 1
    app.send_task("anything", queue="low", time_limit=12 * 3600)
    assert fleet.waiting("low", "r1") == 1


def test_a_warning_names_the_largest_argument_once_for_each_task(
    fleet: TinyFleet, caplog: pytest.LogCaptureFixture
) -> None:
    app = fleet.app(payload_warning_bytes=1000)
    with caplog.at_level(logging.WARNING, "taskfleet"):
        for _ in range(2):
            app.send_task("large", ["x", "y" * 1000], {"rows": [1]})
        app.send_task("small", ["x" * 100])
    said = [record.getMessage() for record in caplog.records if "pass a key instead" in record.getMessage()]
    assert len(said) == 1
    assert "(the largest is argument 2, a str of 1002 bytes)" in said[0]
