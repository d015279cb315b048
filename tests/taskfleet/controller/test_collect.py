"""Each look brings what others put aside into the dead-letter store."""

from __future__ import annotations

import json
import zlib

import pytest
from botocore.exceptions import ClientError
from kombu.utils.json import dumps
from taskfleet.brokers.redis import payloads
from taskfleet.contract import messages, metrics, names
from taskfleet.controller.datapoints import datapoints
from taskfleet.dead_letters import collecting
from taskfleet.dead_letters.dead_letter import DeadLetter, DeadLetterKind
from taskfleet.dead_letters.store import DeadLetters
from taskfleet.measuring.fallback import Fallback

from drills.malformed import message
from tests.support.processes import wait_for
from tests.taskfleet.controller.account import Account


def store(account: Account) -> DeadLetters:
    return DeadLetters(account.dynamodb, account.name)


def url(account: Account, name: str) -> str:
    return str(account.sqs.get_queue_url(QueueName=name)["QueueUrl"])


def on_sqs(account: Account) -> int:
    wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    queue = url(account, names.dead_letter_queue(account.name, "low"))
    counts = account.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=wanted)["Attributes"]
    return sum(map(int, counts.values()))


def put(account: Account, text: str) -> None:
    account.sqs.send_message(
        QueueUrl=url(account, names.dead_letter_queue(account.name, "low")), MessageBody=text
    )


def letters(account: Account) -> list[DeadLetter]:
    found = [store(account).get(heading.id) for heading in store(account).headings(["low"])]
    return [letter for letter in found if letter is not None]


def test_what_sqs_gave_up_is_moved_with_all_that_it_says(current: Account) -> None:
    """By SQS's own redrive, as a message that kills every worker which receives it."""
    twin = url(current, names.fallback_queue(current.name, "low", "blue"))
    dead = url(current, names.dead_letter_queue(current.name, "low"))
    arn = current.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    current.sqs.set_queue_attributes(QueueUrl=twin, Attributes={"RedrivePolicy": policy})
    body = json.dumps([["run", 7], {"later": True}, {}])
    current.sqs.send_message(
        QueueUrl=twin,
        MessageBody=message("low", "blue", body=body, headers={messages.RELEASE_HEADER: "blue"}),
    )
    for _ in range(2):
        current.sqs.receive_message(QueueUrl=twin, VisibilityTimeout=0)
    wait_for(lambda: on_sqs(current) == 1, what="SQS's redrive")

    current.controller().look()

    (letter,) = letters(current)
    assert letter.kind is DeadLetterKind.TOO_MANY_DELIVERIES
    assert (letter.queue, letter.release, letter.task) == ("low", "blue", "drills.record")
    assert letter.args == "'run', 7, later=True"
    assert letter.message.body.decode() == body
    assert on_sqs(current) == 0


def test_what_was_compressed_is_kept_as_it_was_before(current: Account) -> None:
    body = json.dumps([["run", 7], {}, {}])
    sent = json.loads(message("low", "blue", headers={"compression": "gzip"}))
    put(current, dumps(sent | {"body": zlib.compress(body.encode())}))

    current.controller().look()

    (letter,) = letters(current)
    assert letter.args == "'run', 7"
    assert letter.message.body.decode() == body
    assert "compression" not in letter.message.headers


@pytest.mark.parametrize(
    "body",
    ['{"__type__": "decimal", "__value__": "x"}', "[" * 100_000, {"no": "text"}, None],
    ids=["no decimal", "nested", "an object", "nothing"],
)
def test_no_body_keeps_the_messages_behind_it_from_the_store(current: Account, body: object) -> None:
    content = json.loads(message("low", "blue")) | {"body": body}
    put(current, json.dumps(content))
    put(current, message("low", "blue"))

    current.controller().look()

    assert store(current).counts(["low"]) == {"low": 2}


def test_a_look_moves_no_more_than_it_has_time_for_and_counts_all(
    current: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "MOST_IN_A_LOOK", 10)
    for n in range(15):
        put(current, message("low", "blue", headers={"id": str(n)}))
    controller = current.controller()

    for there in (10, 15, 15):
        points = datapoints(controller.look())
        assert [p.value for p in points if p.metric is metrics.DEAD_LETTERS] == [15]
        assert store(current).counts(["low"]) == {"low": there}
    assert on_sqs(current) == 0


def test_what_is_no_message_is_kept_as_it_is(current: Account) -> None:
    put(current, "no JSON, é")

    current.controller().look()

    (letter,) = letters(current)
    assert (letter.task, letter.args) == (None, None)
    assert letter.message.body.decode() == "no JSON, é"


def test_a_controller_that_dies_between_keeping_and_deleting_makes_no_second_letter(current: Account) -> None:
    put(current, message("low", "blue"))
    dead = url(current, names.dead_letter_queue(current.name, "low"))
    (received,) = current.sqs.receive_message(
        QueueUrl=dead, VisibilityTimeout=0, MessageSystemAttributeNames=["ApproximateReceiveCount"]
    )["Messages"]
    store(current).put(collecting.letter_of_sqs(received, queue="low"))

    current.controller().look()

    assert store(current).counts(["low"]) == {"low": 1}
    assert on_sqs(current) == 0


def test_what_a_worker_could_only_keep_in_redis_is_moved_too(current: Account) -> None:
    key = messages.REDIS_PARKED + "low.blue"
    current.redis.rpush(key, payloads.parked(b"{broken", reason="not a message"), "ours, and broken too")
    current.redis.lrem(key, 1, "ours, and broken too")

    current.controller().look()

    (letter,) = letters(current)
    assert (letter.kind, letter.release, letter.reason) == (
        DeadLetterKind.NOT_A_MESSAGE,
        "blue",
        "not a message",
    )
    assert letter.message.body == b"{broken"
    assert not current.redis.exists(key)


def test_letters_of_a_queue_that_no_live_release_has_are_counted(current: Account) -> None:
    put(current, message("low", "blue"))
    controller = current.controller()
    look = controller.look()

    assert look.dead_letters == {"etl": 0, "high": 0, "low": 1}


def test_a_store_that_does_not_answer_is_a_problem_of_the_look_and_loses_nothing(current: Account) -> None:
    put(current, message("low", "blue"))
    elsewhere = DeadLetters(current.dynamodb, "nowhere")

    look = current.controller(letters=elsewhere).look()

    assert any("dead letters" in problem for problem in look.problems)
    assert look.dead_letters["low"] is None
    assert on_sqs(current) == 1


def test_one_source_that_fails_does_not_keep_the_other_from_the_store(current: Account) -> None:
    put(current, message("low", "blue"))
    current.redis.rpush(messages.REDIS_PARKED + "low.blue", payloads.parked(b"{broken", reason="no message"))

    look = current.controller(fallback=_NothingReceived(current)).look()

    assert any("SQS can't be moved" in problem for problem in look.problems)
    assert [letter.kind for letter in letters(current)] == [DeadLetterKind.NOT_A_MESSAGE]


class _NothingReceived(Fallback):
    """SQS whose dead letters can be counted and not received: a policy that was changed by hand."""

    def __init__(self, account: Account) -> None:
        super().__init__(_Refusing(account.sqs))


class _Refusing:
    def __init__(self, sqs: object) -> None:
        self._sqs = sqs

    def receive_message(self, **_request: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ReceiveMessage")

    def __getattr__(self, name: str) -> object:
        return getattr(self._sqs, name)


def test_one_message_that_the_store_refuses_does_not_keep_those_behind_it(current: Account) -> None:
    key, refused = messages.REDIS_PARKED + "low.blue", payloads.parked(b"{a", reason="refuse me")
    current.redis.rpush(key, refused, payloads.parked(b"{b", reason="no message"), "not of a worker")
    put(current, message("low", "blue", headers={"task": "refuse.me"}))
    put(current, message("low", "blue", headers={"task": "take.me"}))

    look = current.controller(letters=_Picky(current.dynamodb, current.name)).look()

    assert len([problem for problem in look.problems if "refuses dead letter" in problem]) == 2
    assert sorted(str(letter.task) for letter in letters(current)) == ["None", "None", "take.me"]
    assert current.redis.lrange(key, 0, -1) == [refused.encode()]
    assert on_sqs(current) == 1


class _Picky(DeadLetters):
    """A store that will never take some items."""

    def put(self, letter: DeadLetter) -> None:
        if "refuse" in f"{letter.reason} {letter.task}":
            raise ClientError({"Error": {"Code": "ValidationException", "Message": "no"}}, "PutItem")
        super().put(letter)


def test_what_is_parked_in_redis_is_left_in_its_release(current: Account) -> None:
    current.redis.rpush(messages.REDIS_PARKED + "low.blue", payloads.parked(b"{broken", reason="no message"))
    look = current.controller(letters=DeadLetters(current.dynamodb, "nowhere")).look()

    assert (look.releases[0].left.parked, look.releases[0].left.total) == (1, 1)
