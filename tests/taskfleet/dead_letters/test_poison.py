"""Each kind of malformed message meets a real worker on either broker."""

from __future__ import annotations

import pytest
from kombu.message import Message
from taskfleet.contract import environment as env
from taskfleet.contract import names
from taskfleet.contract.limits import MOST_DELIVERIES
from taskfleet.contract.messages import DELIVERIES_HEADER
from taskfleet.dead_letters.dead_letter import DeadLetterKind, Finding, Heading
from taskfleet.dead_letters.writing import of_message
from taskfleet.publishing.publisher import force_broker
from taskfleet.settings import WorkerSettings

from drills.malformed import MALFORMED, message
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet

RECORD = "drills.record"


def put(fleet: TinyFleet, broker: str, text: str) -> None:
    """Into the queue as it is, as no producer of ours would."""
    if broker == env.PRIMARY:
        fleet.valkey.client().lpush("low.r1", text)
        return
    sqs = fleet.aws.client("sqs")
    url = sqs.get_queue_url(QueueName=names.fallback_queue(fleet.name, "low", "r1"))["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=text)


def letters(fleet: TinyFleet) -> list[Heading]:
    return list(fleet.store.headings(["low"]))


def left(fleet: TinyFleet, broker: str) -> int:
    if broker == env.FALLBACK:
        return fleet.waiting_on_sqs("low", "r1")
    return fleet.waiting("low", "r1") + int(fleet.valkey.client().hlen("unacked"))  # type: ignore[arg-type]


@pytest.mark.parametrize("broker", [env.PRIMARY, env.FALLBACK])
@pytest.mark.parametrize("execution", ["prefork", "gevent"])  # with an event loop, and without
def test_ten_kinds_are_parked_and_the_good_ones_run(fleet: TinyFleet, broker: str, execution: str) -> None:
    app = fleet.app()
    for n, malformed in enumerate(MALFORMED):
        put(fleet, broker, malformed.text("low", "r1"))
        with force_broker(broker):
            app.send_task(RECORD, ["good", n])

    worker = fleet.start_worker("r1", **{env.BROKER.name: broker, env.EXECUTION.name: execution})

    fleet.wait_executed("good", len(MALFORMED), seconds=30)
    wait_for(lambda: fleet.dead_letters("low") == len(MALFORMED), what="ten letters")
    assert fleet.executed("good") == list(range(len(MALFORMED)))
    assert worker.poll() is None
    wait_for(lambda: left(fleet, broker) == 0, what="nothing left, nothing looping")
    assert len(letters(fleet)) == len(MALFORMED)
    found = letters(fleet)
    for malformed in sorted(MALFORMED, key=lambda one: len(one.kinds)):
        match = next((letter for letter in found if letter.kind in malformed.kinds), None)
        assert match is not None, f"{malformed.name}: {sorted(letter.kind for letter in found)}"
        found.remove(match)
        assert match.reason
        assert (match.pool, match.release) == ("low", "r1")


def test_a_parked_message_is_whole(fleet: TinyFleet) -> None:
    """Larger than SQS takes, and than an item of DynamoDB holds."""
    body = '[["' + "é" * 800_000 + '", 1], {}, {}]'
    put(fleet, env.PRIMARY, message("low", "r1", body=body))

    fleet.start_worker("r1")

    wait_for(lambda: fleet.dead_letters("low") == 1, what="the letter")
    (heading,) = letters(fleet)
    assert (heading.kind, heading.task) == (DeadLetterKind.TOO_LARGE, RECORD)
    letter = fleet.store.get(heading.id)
    assert letter is not None
    assert letter.message.body.decode() == body
    assert letter.message.headers["id"] == letter.task_id
    assert DELIVERIES_HEADER not in letter.message.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"id": None},
        {"id": 17},
        {"task": ["a", "list"]},
        {"eta": "soon"},
        {"expires": {"in": 3}},
        {"timelimit": "abc"},
        {"retries": "many"},
        {"argsrepr": 5, "kwargsrepr": []},
    ],
    ids=str,
)
def test_strange_headers_neither_end_the_worker_nor_loop(
    fleet: TinyFleet, headers: dict[str, object]
) -> None:
    put(fleet, env.PRIMARY, message("low", "r1", headers=headers))
    fleet.app().send_task(RECORD, ["good", 1])

    worker = fleet.start_worker("r1", **{env.CONCURRENCY.name: "1"})

    fleet.wait_executed("good", 1)
    wait_for(lambda: left(fleet, env.PRIMARY) == 0, what="nothing left")
    ran = fleet.executed("malformed")
    assert len(ran) + fleet.dead_letters("low") == 1, "run, or kept with a reason: nothing else"
    assert worker.poll() is None


def test_what_kills_its_workers_is_parked_in_the_end(fleet: TinyFleet) -> None:
    text = message("low", "r1")
    put(fleet, env.PRIMARY, f'{{"{DELIVERIES_HEADER}": {MOST_DELIVERIES}, {text[1:]}')

    fleet.start_worker("r1")

    wait_for(lambda: fleet.dead_letters("low") == 1, what="the letter")
    (heading,) = letters(fleet)
    assert heading.kind is DeadLetterKind.TOO_MANY_DELIVERIES
    assert str(MOST_DELIVERIES) in heading.reason
    assert fleet.executed("malformed") == []


def test_a_bound_task_with_any_keywords_takes_what_its_signature_takes(fleet: TinyFleet) -> None:
    """`record` is bound, has a default and takes ``**_later``: none of that is a fault."""
    put(fleet, env.PRIMARY, message("low", "r1", body='[["fine", 1], {"new_argument": 2}, null]'))
    fleet.start_worker("r1")

    fleet.wait_executed("fine", 1)

    assert fleet.dead_letters("low") == 0


def test_a_letter_that_is_written_twice_is_one_letter(fleet: TinyFleet) -> None:
    """Writing it and acknowledging are two steps: a worker that dies between them repeats the first."""
    settings = WorkerSettings.from_environ(fleet.worker_environment("r1"))
    finding = Finding(DeadLetterKind.UNKNOWN_TASK, "no such task")

    def received(retries: int, tag: str) -> Message:
        headers = {"task": "shop.order", "id": "a-task", "retries": retries}
        return Message(
            body=b"[[], {}, null]", headers=headers, delivery_tag=tag, content_type="application/json"
        )

    first, again = (of_message(settings, received(0, tag), finding) for tag in ("one", "another"))
    retried = of_message(settings, received(1, "one"), finding)
    for each in (first, again, retried):
        fleet.store.put(each)

    assert first.id == again.id != retried.id
    assert fleet.dead_letters("low") == 2
