"""`taskfleet.publish_many` and groups: together, in constant memory, and known for each what became of it."""

from __future__ import annotations

import base64
import contextlib
import functools
import inspect
import json
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, Task, chain, chord, group, signals
from celery.app.amqp import AMQP
from celery.app.routes import Router
from celery.canvas import Signature
from celery.signals import before_task_publish
from taskfleet import publish_many
from taskfleet.contract.messages import PUBLISHED_AT_HEADER
from taskfleet.errors import MessageTooLarge, PartlyPublished
from taskfleet.publishing.primary import MOST_MESSAGES
from taskfleet.publishing.publisher import force_broker

from tests.support.ministack import MiniStack
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet


class RoundTrips:
    """Counts those to Redis."""

    def __init__(self, app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[int] = []
        pipeline = app.taskfleet.publisher._primary._pipeline
        run = pipeline.run

        def counting(commands: Any, answers: Any) -> None:
            self.sent.append(len(commands))
            run(commands, answers)

        monkeypatch.setattr(pipeline, "run", counting)


def task(app: Celery, *arguments: object) -> Signature:
    return app.signature("anything", arguments, queue="low")


def waiting(fleet: TinyFleet) -> list[Any]:
    """The first arguments of what waits in Redis, oldest first."""
    messages = fleet.valkey.client().lrange("low.r1", 0, -1)
    bodies = [json.loads(base64.b64decode(json.loads(text)["body"])) for text in messages]
    return [body[0][0] for body in reversed(bodies)]


def test_a_generator_is_read_as_it_goes_and_each_round_trip_takes_five_hundred(
    fleet: TinyFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, count, seen, ahead = fleet.app(), 1700, [0], [0]
    app.send_task("anything", [-1], queue="low")
    trips = RoundTrips(app, monkeypatch)

    def signatures() -> Iterator[Signature]:
        for number in range(count):
            ahead[0] = max(ahead[0], number - seen[-1])
            yield task(app, number)

    published = publish_many(signatures(), progress=seen.append)

    assert published == seen[-1] == count
    assert waiting(fleet) == list(range(-1, count))
    assert ahead[0] <= MOST_MESSAGES
    # One more than needed at a busy moment: what is a second old is sent.
    assert sum(trips.sent) == count
    assert max(trips.sent) <= MOST_MESSAGES


OPTIONS: list[dict[str, Any]] = [
    {},
    {"priority": 7, "ignore_result": True},
    {"time_limit": 30, "soft_time_limit": 20},
    {"headers": {"tenant": "a"}, "shadow": "another name"},
    {"task_id": "one-id-for-all"},
    {"link": Signature("linked", immutable=True)},
]
ARGUMENTS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((1,), {}),
    ((2,), {"word": "é"}),
    (([1, {"a": None}],), {}),
    (("x" * 3000,), {"word": "y" * 3000}),
]


def without_its_own(message: dict[str, Any]) -> dict[str, Any]:
    """The message, but for what is new in each."""
    new = {"id", "root_id", "expires", PUBLISHED_AT_HEADER, "correlation_id", "delivery_tag"}
    headers, properties = message["headers"], message["properties"]
    assert headers["id"] == headers["root_id"] == properties["correlation_id"]
    cut = {
        part: {name: value for name, value in message[part].items() if name not in new}
        for part in ("headers", "properties")
    }
    return {**message, **cut}


def test_messages_are_as_celery_makes_them_one_by_one(fleet: TinyFleet) -> None:
    app, sent, signalled = fleet.app(), [], []
    app.taskfleet.publisher.send = lambda messages: sent.extend(messages)

    class Shown(app.Task):  # type: ignore[misc, name-defined]
        def shadow_name(self, args: Any, kwargs: Any, options: Any) -> str:
            return f"of {len(kwargs)}"

    def listed(number: Any, word: str = "") -> None:
        """Only sent."""

    def heard(sender: str, **_message: Any) -> None:
        signalled.append(sender)

    def compare(listed: Any, options: dict[str, Any]) -> None:
        sent.clear()
        for args, kwargs in ARGUMENTS:
            listed.apply_async(args, kwargs, queue="low", **options)
        publish_many(listed.signature(args, kwargs, queue="low", **options) for args, kwargs in ARGUMENTS)
        made = [without_its_own(json.loads(message.for_redis.text)) for message in sent]
        assert made[:4] == made[4:]
        assert len({message.id for message in sent}) == (1 if "task_id" in options else 8)
        with pytest.raises(TypeError, match="missing 1 required positional argument"):
            publish_many([listed.s(1).set(queue="low"), listed.s().set(queue="low")])

    for options in OPTIONS:
        compare(app.task(name="listed")(listed), options)
    compare(app.task(name="shown", base=Shown)(listed), {})
    before_task_publish.connect(heard)
    try:
        compare(app.task(name="heard")(listed), {})
    finally:
        before_task_publish.disconnect(heard)
    assert signalled == ["heard"] * 9


@pytest.fixture
def celerys_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has a part in it: other tests of this process may have put instrumentation around Celery."""
    way = ((Signature, "apply_async"), (Task, "apply_async"), (Celery, "send_task"), (AMQP, "as_task_v2"))
    for owner, name in (*way, (AMQP, "_create_task_sender"), (Router, "route")):
        monkeypatch.setattr(owner, name, inspect.unwrap(getattr(owner, name)))
    for sent in (signals.before_task_publish, signals.after_task_publish, signals.task_sent):
        monkeypatch.setattr(sent, "receivers", [])


@pytest.mark.usefixtures("celerys_own")
def test_where_somebody_has_a_part_in_it_celery_makes_each_message(
    fleet: TinyFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = fleet.app()
    listed = app.task(name="listed")(nothing)
    made: list[str] = []
    as_task_v2 = app.amqp.create_task_message

    def counted(*arguments: Any, **options: Any) -> Any:
        made.append(arguments[0])
        return as_task_v2(*arguments, **options)

    def publish() -> int:
        made.clear()
        publish_many(listed.s().set(queue="low") for _ in range(10))
        return len(made)

    monkeypatch.setattr(app.amqp, "create_task_message", counted)
    assert publish() < 10, "or this test shows nothing"
    apply_async = Task.apply_async

    @functools.wraps(apply_async)
    def instrumented(*arguments: Any, **options: Any) -> Any:
        return apply_async(*arguments, **options)

    monkeypatch.setattr(Task, "apply_async", instrumented)
    assert publish() == 10


def nothing() -> None:
    """Only sent."""


def test_nothing_is_nothing(fleet: TinyFleet) -> None:
    assert publish_many([]) == 0


def test_a_group_and_what_is_made_of_it_goes_out_together(
    fleet: TinyFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = fleet.app()
    app.send_task("anything", [-1], queue="low")
    trips = RoundTrips(app, monkeypatch)

    result = group(task(app, number) for number in range(100)).apply_async()
    assert len(result) == 100
    publish_many([group(task(app, number) for number in (100, 101)), chain(task(app, 102), task(app, 0))])

    assert waiting(fleet) == list(range(-1, 103))
    assert (len(trips.sent), sum(trips.sent)) == (2, 103)


def test_what_the_callers_own_code_publishes_meanwhile_is_accepted_when_it_returns(fleet: TinyFleet) -> None:
    app = fleet.app()

    def signatures(first: int) -> Iterator[Signature]:
        for number in range(first, first + 3):
            app.send_task("anything", [f"by itself {number}"], queue="low")
            assert waiting(fleet)[-1] == f"by itself {number}"
            yield task(app, number)

    publish_many(signatures(0))
    group(signatures(3)).apply_async()

    assert len(waiting(fleet)) == 12


def test_a_mistake_of_the_caller_stops_it_before_the_rest_is_sent(fleet: TinyFleet) -> None:
    app, counts = fleet.app(), [0]
    signatures = [task(app, 1), task(app, "x" * 300_000), task(app, 2)]

    with pytest.raises(MessageTooLarge):
        publish_many(signatures, progress=counts.append)
    with pytest.raises(MessageTooLarge):
        group(signatures).apply_async()

    assert (counts, waiting(fleet)) == ([0], [])


def test_while_redis_is_away_they_go_to_sqs(fleet: TinyFleet) -> None:
    app = fleet.app()
    app.send_task("anything", [-1], queue="low")
    fleet.valkey.kill()

    assert publish_many(task(app, number) for number in range(35)) == 35

    assert fleet.waiting_on_sqs("low", "r1") == 35


def goes_on(error: PartlyPublished) -> int:
    """Once the breaker has found out that Redis is back."""
    counts: list[int] = []

    def tried() -> bool:
        with contextlib.suppress(PartlyPublished):
            counts.append(error.go_on())
        return bool(counts)

    wait_for(tried, what="Redis")
    return counts[0]


def test_where_no_broker_answers_it_says_what_became_of_each_and_goes_on(
    fleet: TinyFleet, stopped_aws: MiniStack
) -> None:
    app, read, counts = fleet.app(), [0], [0]
    app.send_task("anything", [-1], queue="low")

    def signatures() -> Iterator[Signature]:
        for number in range(1300):
            read[0] = number + 1
            if number == 700:
                fleet.valkey.kill()
                stopped_aws.signal(signal.SIGKILL)
            yield task(app, number).set(task_id=f"task-{number}")

    with pytest.raises(PartlyPublished) as caught:
        publish_many(signatures(), progress=counts.append)

    error = caught.value
    known = [*error.refused, *error.unknown]
    assert (error.published, counts[-1], read[0]) == (500, 500, 1000)
    assert sorted(known) == sorted(f"task-{number}" for number in range(500, 1000))
    assert error.may_run
    with pytest.raises(PartlyPublished):
        error.go_on()
    assert read[0] == 1000

    fleet.valkey.start()
    assert goes_on(error) == 1300
    assert set(waiting(fleet)) >= set(range(500, 1300)), "those before were in the memory that was killed"


def test_a_group_that_no_broker_takes_is_published_whole_afterwards(
    fleet: TinyFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = fleet.app()
    fleet.valkey.kill()

    with force_broker("primary"), pytest.raises(PartlyPublished) as caught:
        group(task(app, number) for number in range(1100)).apply_async()

    assert len(caught.value.refused) + len(caught.value.unknown) == 1100
    fleet.valkey.start()
    with force_broker("primary"):
        assert goes_on(caught.value) == 1100
    assert waiting(fleet) == list(range(1100))


def test_many_threads_at_once_each_get_their_own_answer(fleet: TinyFleet) -> None:
    app = fleet.app()
    app.send_task("anything", [-1], queue="low")
    counts: list[int] = []

    def publish(first: int) -> None:
        counts.append(publish_many(task(app, number) for number in range(first, first + 300)))

    threads = [threading.Thread(target=publish, args=(1000 * number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for number in range(50):
        app.send_task("anything", [10_000 + number], queue="low")
    for thread in threads:
        thread.join(60)

    assert counts == [300] * 5
    assert len(set(waiting(fleet))) == len(waiting(fleet)) == 1 + 50 + 1500


def test_a_chord_runs_its_header_and_then_its_body(fleet: TinyFleet) -> None:
    app = fleet.app()
    app.conf.result_backend = f"{fleet.valkey.url}"
    header = [task(app, number).set(ignore_result=False) for number in range(5)]

    chord(header)(task(app))

    assert waiting(fleet) == list(range(5))
