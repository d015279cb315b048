"""Far ETAs wait in a table of their own, and bind to a release when they are sent."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from celery import Celery, group
from taskfleet import aws, install, publish_many
from taskfleet.beat.etas import DueEtas
from taskfleet.brokers.redis import closing
from taskfleet.contract import etas as keys
from taskfleet.contract import names
from taskfleet.contract.messages import REDIS_ACCEPTED, REDIS_SCHEDULED_MESSAGES, REVOKED_HEADER
from taskfleet.errors import PointerUnknown
from taskfleet.etas.eta import Binding, stamp_matches
from taskfleet.etas.sending import Sending
from taskfleet.etas.store import Etas, key_of
from taskfleet.publishing.publisher import force_broker
from taskfleet.settings import BeatSettings, WorkerSettings

from tests.support.ministack import MiniStack
from tests.support.processes import wait_for
from tests.support.tiny_fleet import QUEUES, TinyFleet

BEYOND = 600
FAR = 3600


@pytest.fixture
def far(fleet: TinyFleet) -> TinyFleet:
    """Both releases keep far ETAs in the table; `r1` is current."""
    for release in ("r1", "r2"):
        fleet.deploy(release, etas_beyond_seconds=BEYOND)
    fleet.promote("r1")
    return fleet


def etas(fleet: TinyFleet) -> Etas:
    return Etas(lambda: fleet.aws.client("dynamodb"), fleet.name)


def scheduled(fleet: TinyFleet, queue: str = "low", release: str = "r1") -> list[dict[str, Any]]:
    """The messages that wait for their ETA on Redis."""
    kept = f"{REDIS_SCHEDULED_MESSAGES}{names.versioned_queue(queue, release)}"
    found = fleet.valkey.client().hvals(kept)
    texts = [text.decode() if isinstance(text, bytes) else text for text in found]
    return [json.loads(text.partition(":")[2]) for text in texts]


def beat(fleet: TinyFleet, release: str | None) -> Celery:
    """The application as beat of a release has it."""
    app = install(Celery(f"beat-{release}", set_as_current=False))
    app.taskfleet.bind(
        BeatSettings(
            environment=fleet.name,
            broker_host="localhost",
            broker_port=fleet.front.port,
            app="x:app",
            release=release,
        )
    )
    app.taskfleet.publisher._primary.answers()
    return app


def worker(fleet: TinyFleet, release: str) -> Celery:
    """An application that publishes as a task of a release does."""
    app = install(Celery(f"worker-{release}", set_as_current=False))
    app.taskfleet.bind(
        WorkerSettings(
            environment=fleet.name,
            broker_host="localhost",
            broker_port=fleet.front.port,
            app="x:app",
            release=release,
            pool="low",
            queues=("low",),
            broker="primary",
            execution="threads",
            concurrency=1,
            child_memory_mib=300,
            max_tasks_per_child=100,
            visibility_timeout_seconds=60,
            soft_time_limit_seconds=10,
            time_limit_seconds=20,
            soft_shutdown_seconds=1,
        )
    )
    app.taskfleet.publisher._primary.answers()
    return app


def send_due(fleet: TinyFleet, app: Celery, *, lead_seconds: float = 2 * FAR) -> None:
    """One look of beat's at what is due within so long."""
    due = DueEtas(app, lead_seconds=lead_seconds)
    due._until = float("inf")
    due.look()


def test_a_far_eta_waits_in_the_table_and_a_near_one_in_its_queue(far: TinyFleet) -> None:
    app = far.app()

    app.send_task("near", queue="low", countdown=BEYOND - 5)
    sent = app.send_task("far", [1], {"a": "ü"}, queue="low", countdown=FAR, priority=6)

    (near,) = scheduled(far)
    assert near["headers"]["task"] == "near"
    (eta,) = etas(far).find(sent.id)
    assert (eta.task, eta.queue, eta.binding, eta.release) == ("far", "low", Binding.CURRENT, None)
    assert eta.due == pytest.approx(time.time() + FAR, abs=5)
    assert json.loads(eta.body)[:2] == [[1], {"a": "ü"}]
    assert etas(far).next_due() == (pytest.approx(eta.due, abs=0.002),)
    assert etas(far).count() == (1, True)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"priority": 9, "expires": 2 * FAR}])
def test_what_is_sent_later_is_the_message_that_was_published(
    far: TinyFleet, options: dict[str, Any]
) -> None:
    """But for what each publish makes anew."""
    app = far.app()
    moment = datetime.now(UTC) + timedelta(seconds=FAR)
    more = {"queue": "low", "eta": moment, "task_id": "same", **options}
    arguments = [[datetime(2026, 1, 2, tzinfo=UTC), 1.5, None]], {"of": "it"}
    with force_broker("primary"):
        app.send_task("far", *arguments, **more)
    (direct,) = scheduled(far)
    far.valkey.client().flushall()

    app.send_task("far", *arguments, **more)
    assert not scheduled(far)
    send_due(far, beat(far, "r1"))

    (later,) = scheduled(far)
    for message in (direct, later):
        for made_anew in ("taskfleet_published_at",):
            message["headers"].pop(made_anew)
        for made_anew in ("delivery_tag", "reply_to"):
            message["properties"].pop(made_anew)
        message.pop(REDIS_ACCEPTED)
        if (expires := message["headers"].pop("expires")) is not None:
            assert datetime.fromisoformat(expires)
    assert later == direct


def test_due_work_goes_to_the_release_that_is_current_then(far: TinyFleet) -> None:
    app = far.app()
    app.send_task("far", queue="low", countdown=FAR)
    far.promote("r2")

    send_due(far, beat(far, "r2"))

    assert (len(scheduled(far, release="r1")), len(scheduled(far, release="r2"))) == (0, 1)
    assert scheduled(far, release="r2")[0]["headers"]["taskfleet_release"] == "r2"
    assert etas(far).count() == (0, True)


def test_so_it_does_with_a_beat_that_has_no_release(far: TinyFleet) -> None:
    far.app().send_task("far", queue="low", countdown=FAR)
    far.promote("r2")

    send_due(far, beat(far, None))

    assert len(scheduled(far, release="r2")) == 1


def test_what_a_task_publishes_stays_on_its_release_while_that_takes_it(far: TinyFleet) -> None:
    app = worker(far, "r1")
    app.send_task("retried", queue="low.r1", countdown=FAR)
    app.send_task("child", queue="high", countdown=FAR)
    far.promote("r2")

    send_due(far, beat(far, "r2"))

    assert len(scheduled(far, "low", "r1")) == len(scheduled(far, "high", "r1")) == 1
    assert not scheduled(far, "low", "r2")


@pytest.mark.parametrize("how", ["closed", "retired", "gone"])
def test_and_goes_to_the_current_one_else(far: TinyFleet, how: str) -> None:
    worker(far, "r1").send_task("retried", queue="low.r1", countdown=FAR)
    far.promote("r2")
    if how == "retired":  # and the broker that knew its queues as closed was made anew
        record = {"id": {"S": "release#r1"}, "state": {"S": "retired"}}
        far.aws.client("dynamodb").put_item(TableName=names.state_table(far.name), Item=record)
    elif how == "gone":
        far.aws.client("ssm").delete_parameter(Name=f"/taskfleet/{far.name}/releases/r1")
    else:
        closing.close(far.valkey.client(), [f"{queue}.r1" for queue in QUEUES])

    send_due(far, beat(far, "r2"))

    assert (len(scheduled(far, "low", "r1")), len(scheduled(far, "low", "r2"))) == (0, 1)
    assert etas(far).count() == (0, True)


def test_a_pinned_producers_goes_to_its_release(far: TinyFleet) -> None:
    far.app(pinned_release="r1").send_task("pinned", queue="low", countdown=FAR)
    far.app().send_task("named", queue="low.r1", countdown=FAR)
    far.promote("r2")

    send_due(far, beat(far, "r2"))

    assert sorted(each["headers"]["task"] for each in scheduled(far)) == ["named", "pinned"]


def test_or_becomes_a_dead_letter_with_its_reason(far: TinyFleet) -> None:
    sent = far.app(pinned_release="r1").send_task("pinned", [3], queue="low", countdown=FAR)
    far.promote("r2")
    closing.close(far.valkey.client(), [f"{queue}.r1" for queue in QUEUES])

    send_due(far, beat(far, "r2"))

    (letter,) = far.store.headings(["low"])
    assert letter.task_id == sent.id
    assert "release r1 is retired" in letter.reason
    assert not scheduled(far, release="r2")
    assert etas(far).count() == (0, True)


def test_a_queue_that_the_current_release_has_not_makes_a_dead_letter(far: TinyFleet) -> None:
    far.app().send_task("far", queue="etl", countdown=FAR)
    far.deploy("r3", queues=("low",))
    far.promote("r3")

    send_due(far, beat(far, "r3"))

    assert far.dead_letters("etl") == 1
    assert etas(far).count() == (0, True)


def test_many_are_kept_together_and_sent_together(far: TinyFleet) -> None:
    app = far.app()

    @app.task(name="many", shared=False)
    def many(n: int) -> None: ...

    assert publish_many(many.s(n).set(queue="low", countdown=FAR) for n in range(1234)) == 1234
    group(many.s(n) for n in range(30)).apply_async(queue="low", countdown=FAR)
    assert etas(far).count() == (1264, True)

    send_due(far, beat(far, "r1"))

    assert len(scheduled(far)) == 1264
    assert etas(far).count() == (0, True)


class Away:
    """A client of an API that is away, while the account's others answer."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**_request: Any) -> Any:
            raise EndpointConnectionError(endpoint_url="away")

        return call


@pytest.mark.parametrize("fault", ["hangs", "refuses"])
def test_while_dynamodb_is_away_it_waits_in_its_queue_as_before(
    fleet: TinyFleet, stopped_aws: MiniStack, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    fleet.deploy("r1", etas_beyond_seconds=BEYOND)
    app = fleet.app()
    app.send_task("far", queue="low", countdown=FAR)
    assert etas(fleet).count() == (1, True)

    stopped_aws.pause() if fault == "hangs" else stopped_aws.kill()
    times = []
    with caplog.at_level(logging.WARNING, "taskfleet"):
        for _ in range(5):
            began = time.monotonic()
            app.send_task("far", queue="low", countdown=FAR)
            times.append(time.monotonic() - began)

    assert len(scheduled(fleet)) == 5
    assert sum(times[1:]) < max(times[0], 0.5), "the others don't wait for it"
    assert times[0] < 2
    assert "far ETAs go to the queues for now" in caplog.text


def test_what_the_table_can_not_hold_waits_in_its_queue(far: TinyFleet) -> None:
    app = far.app()
    app.send_task("far", ["x" * 200_000], queue="low", countdown=FAR, headers={"more": "y" * 210_000})
    app.send_task("next year", queue="low", countdown=keys.FARTHEST_SECONDS + 100)

    assert len(scheduled(far)) == 2
    app.send_task("far", queue="low", countdown=FAR)
    assert etas(far).count() == (1, True), "nothing is wrong with the table"


def test_a_release_that_has_no_table_keeps_them_in_its_queues(fleet: TinyFleet) -> None:
    fleet.app().send_task("far", queue="low", countdown=FAR)

    assert len(scheduled(fleet)) == 1


def test_beat_that_is_killed_before_it_deletes_leaves_one_message(far: TinyFleet) -> None:
    """Redis knows the message again until it is due."""
    app = far.app()
    for _ in range(3):
        app.send_task("far", queue="low", countdown=FAR)
    first, second = beat(far, "r1"), beat(far, "r1")
    store = etas(far)
    store.delete = lambda found: (_ for _ in ()).throw(KeyboardInterrupt)  # type: ignore[method-assign]
    items = [
        item
        for shard in keys.shards()
        for item in store.due(shard, until=time.time() + 2 * FAR, after=None, limit=9)[0]
    ]
    with pytest.raises(KeyboardInterrupt):
        Sending(first, store).send(items)
    assert (len(scheduled(far)), etas(far).count()) == (3, (3, True))

    send_due(far, second)

    assert (len(scheduled(far)), etas(far).count()) == (3, (0, True))
    assert far.valkey.client().zcard("taskfleet:scheduled:low.r1") == 3


def test_redis_away_when_it_is_due_it_goes_by_sqs(far: TinyFleet) -> None:
    far.app().send_task("far", queue="low", countdown=FAR)
    app = beat(far, "r1")
    far.valkey.kill()

    send_due(far, app)

    assert far.waiting_on_sqs("low", "r1") == 1
    assert etas(far).count() == (0, True)


def test_while_no_broker_answers_nothing_is_deleted(
    far: TinyFleet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    far.app().send_task("far", queue="low", countdown=FAR)
    app, client = beat(far, "r1"), aws.client
    far.valkey.kill()
    with monkeypatch.context() as patched:
        patched.setattr(
            aws, "client", lambda service, *a: Away() if service == "sqs" else client(service, *a)
        )
        send_due(far, app)
    assert etas(far).count() == (1, True)

    def is_sent() -> bool:
        send_due(far, app)
        return etas(far).count() == (0, True)

    wait_for(is_sent, seconds=20, what="SQS, which is asked again after a second")


def test_while_the_pointer_is_unknown_nothing_is_deleted(
    far: TinyFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    far.app().send_task("far", queue="low", countdown=FAR)
    app = beat(far, None)

    def unknown(*_args: Any, **_more: Any) -> str:
        raise PointerUnknown("nothing answers")

    with monkeypatch.context() as patched:
        patched.setattr(app.taskfleet.releases, "current", unknown)
        send_due(far, app)

    assert etas(far).count() == (1, True)
    assert far.dead_letters("low") == 0


def test_an_item_that_is_no_message_keeps_no_other_waiting(far: TinyFleet) -> None:
    app = far.app()
    sent = app.send_task("far", queue="low", countdown=FAR)
    (eta,) = etas(far).find(sent.id)
    broken = {**key_of(eta.key), "queue": {"S": "low"}, "due": {"N": "1"}}
    broken[keys.POSITION] = {"S": "0" + eta.position[1:]}
    far.aws.client("dynamodb").put_item(TableName=names.etas_table(far.name), Item=broken)

    send_due(far, beat(far, "r1"))

    assert (len(scheduled(far)), far.dead_letters("low")) == (1, 1)
    assert etas(far).count() == (0, True)


def test_a_revoke_holds_however_long_ago(far: TinyFleet) -> None:
    """A worker has revokes of a week; what is due later has it in its headers."""
    app = far.app()
    sent = [app.send_task("far", queue="low", countdown=FAR) for _ in range(4)]
    sent.append(app.send_task("far", queue="low", countdown=FAR, stamped_headers=["of"], of="us"))

    app.control.revoke(sent[0].id)
    app.control.revoke([sent[1].id, sent[2].id])
    app.control.revoke_by_stamped_headers({"of": ["them", "us"]})
    send_due(far, beat(far, "r1"))

    marked = {each["headers"]["id"] for each in scheduled(far) if each["headers"].get(REVOKED_HEADER)}
    assert marked == {sent[at].id for at in (0, 1, 2, 4)}
    assert etas(far).count() == (0, True), "revokes are no ETAs"


@pytest.mark.parametrize(
    ("stamps", "asked", "matches"),
    [
        ({"of": "us"}, {"of": ["us"]}, True),
        ({"of": ["us", "you"]}, {"of": "you"}, True),
        ({"of": ["us"]}, {"of": "you"}, False),
        ({"by": "us"}, {"of": "us"}, False),
        (None, {"of": "us"}, False),
    ],
)
def test_stamps_match_as_in_celery(stamps: Any, asked: Any, matches: bool) -> None:
    assert stamp_matches(json.dumps({"headers": asked}), {"stamps": stamps}) is matches
