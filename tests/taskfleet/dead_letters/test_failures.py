"""A task that fails for good leaves a letter before its message is acknowledged; no other does."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest
from taskfleet.contract import environment as env
from taskfleet.contract import names
from taskfleet.contract.limits import MOST_DELIVERIES
from taskfleet.dead_letters.dead_letter import DeadLetter, DeadLetterKind
from taskfleet.publishing.publisher import force_broker

from tests.brokers.http_faults import FaultySqs
from tests.support.ministack import MiniStack
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.taskfleet.dead_letters.tasks import IMPATIENT

APP = {env.APP.name: "tests.taskfleet.dead_letters.tasks:app"}
FAILING = {
    "ends.badly": DeadLetterKind.FAILED,
    "ends.retried": DeadLetterKind.RETRIES_EXHAUSTED,
    "ends.late": DeadLetterKind.FAILED,
    "ends.in-memory": DeadLetterKind.FAILED,
    "ends.early": DeadLetterKind.FAILED,
    "ends.kept-back": DeadLetterKind.FAILED,
    "ends.rejected": DeadLetterKind.REJECTED,
}
NO_FAILURE = (
    "ends.as-expected",
    "ends.expected-and-kept-back",
    "ends.ignored",
    "ends.rejected-once",
    "ends.retried-well",
)


def letters(fleet: TinyFleet) -> dict[str, DeadLetter]:
    found = [fleet.store.get(heading.id) for heading in fleet.store.headings(["low"])]
    return {letter.task or "": letter for letter in found if letter is not None}


def unacknowledged(fleet: TinyFleet) -> int:
    return int(fleet.valkey.client().hlen("unacked"))  # type: ignore[arg-type]


def begun(fleet: TinyFleet, event: str = "began-badly") -> int:
    return len(list(fleet.events(event)))


@pytest.mark.parametrize("execution", ["prefork", "threads", "gevent"])
def test_each_final_failure_is_kept_once_and_nothing_else(fleet: TinyFleet, execution: str) -> None:
    # Neither a thread nor a greenlet can be stopped at its time limit.
    only_in_processes = {"ends.late"} if execution != "prefork" else set()
    failing = {name: kind for name, kind in FAILING.items() if name not in only_in_processes}
    app = fleet.app()
    for name in (*failing, *NO_FAILURE):
        app.send_task(name, [7] if name == "ends.badly" else [])

    worker = fleet.start_worker("r1", **APP, **{env.EXECUTION.name: execution})
    app.send_task("ends.well", [1])

    fleet.wait_executed("well", 1, seconds=30)
    wait_for(lambda: fleet.dead_letters("low") >= len(failing), seconds=60, what="the letters")
    wait_for(lambda: unacknowledged(fleet) == 0 and not fleet.waiting("low", "r1"), what="nothing left")
    assert fleet.dead_letters("low") == len(failing)
    assert {name: letter.kind for name, letter in letters(fleet).items()} == failing
    assert worker.poll() is None


def test_a_letter_says_what_a_person_asks(fleet: TinyFleet) -> None:
    fleet.start_worker("r1", **APP)
    sent = fleet.app().send_task("ends.badly", [7], {"note": "é"})

    wait_for(lambda: fleet.dead_letters("low") == 1, what="the letter")

    letter = letters(fleet)["ends.badly"]
    assert letter.task_id == sent.id
    assert (letter.queue, letter.release, letter.pool) == ("low", "r1", "low")
    assert letter.exception == "KeyError: 'order 7'"
    assert "in badly" in (letter.traceback or "")
    assert letter.args == "[7] {'note': 'é'}"
    assert letter.message.content_type == "application/json"
    assert letter.message.headers["task"] == "ends.badly"


def test_what_the_caller_masked_stays_masked_and_the_message_is_whole(fleet: TinyFleet) -> None:
    fleet.start_worker("r1", **APP)
    app = fleet.app()
    for name in ("ends.masked", "no-such-task"):
        app.send_task(name, ["ann", "s3cret"], argsrepr="('ann', '***')", kwargsrepr="{}")

    wait_for(lambda: fleet.dead_letters("low") == 2, seconds=60, what="the letters")

    found = letters(fleet)
    assert found["ends.masked"].kind is DeadLetterKind.RETRIES_EXHAUSTED, (
        "its last try was a message of the worker's"
    )
    for letter in found.values():
        assert letter.args == "('ann', '***') {}"
        assert b"s3cret" in letter.message.body, "what is sent again is whole"
        assert "s3cret" not in str(replace(letter, message=replace(letter.message, body=b"")))


def test_a_failure_on_sqs_is_kept_too(fleet: TinyFleet) -> None:
    app = fleet.app()
    fleet.valkey.kill()
    app.send_task("ends.badly", [1])
    fleet.start_worker("r1", **APP, **{env.BROKER.name: env.FALLBACK})

    wait_for(lambda: fleet.dead_letters("low") == 1, seconds=60, what="the letter")
    wait_for(lambda: fleet.waiting_on_sqs("low", "r1") == 0, what="SQS empty")


def test_what_a_task_rejects_on_sqs_runs_once_and_is_kept(fleet: TinyFleet) -> None:
    """With the policy that a deployed queue has: what is not deleted comes back."""
    sqs = fleet.aws.client("sqs")
    twin, dead = names.fallback_queue(fleet.name, "low", "r1"), names.dead_letter_queue(fleet.name, "low")
    twin, dead = (sqs.get_queue_url(QueueName=name)["QueueUrl"] for name in (twin, dead))
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
    sqs.set_queue_attributes(QueueUrl=twin, Attributes={"RedrivePolicy": policy})
    app = fleet.app()
    with force_broker(env.FALLBACK):
        for name in ("ends.rejected", "ends.rejected-once", "ends.expected-and-kept-back"):
            app.send_task(name)
    fleet.start_worker("r1", **APP, **{env.BROKER.name: env.FALLBACK})

    wait_for(lambda: begun(fleet, "began-rejected-once") == 2, seconds=60, what="what was rejected again")
    wait_for(lambda: fleet.waiting_on_sqs("low", "r1") == 0, what="SQS empty")

    assert {name: letter.kind for name, letter in letters(fleet).items()} == {
        "ends.rejected": DeadLetterKind.REJECTED
    }
    assert letters(fleet)["ends.rejected"].reason == "rejected by the task: no"
    assert begun(fleet, "began-rejected") == begun(fleet, "began-expected") == 1
    assert fleet.sqs_depth(names.dead_letter_queue(fleet.name, "low")) == 0


def test_no_task_may_kill_for_ever(fleet: TinyFleet) -> None:
    """One that may be retried for ever, and one that has no retry left: that of a lost process is none."""
    fleet.start_worker("r1", **APP)
    for name in ("ends.killed-for-ever", "ends.killed"):
        fleet.app().send_task(name)

    wait_for(lambda: fleet.dead_letters("low") == 2, seconds=90, what="the letters")

    assert {letter.kind for letter in letters(fleet).values()} == {DeadLetterKind.TOO_MANY_DELIVERIES}
    assert begun(fleet, "began-killed") == MOST_DELIVERIES
    wait_for(lambda: unacknowledged(fleet) == 0 and not fleet.waiting("low", "r1"), what="nothing left")


def failing_while_it_hangs(fleet: TinyFleet, account: MiniStack, **more: str) -> subprocess.Popen[bytes]:
    app = fleet.app()
    app.send_task("ends.well", [0])  # reads the pointer and the manifest
    worker = fleet.start_worker("r1", **APP, **more)
    account.signal(signal.SIGSTOP)
    app.send_task("ends.badly", [1])
    wait_for(lambda: begun(fleet), what="the failing task")
    return worker


def test_while_the_store_is_away_the_message_stays_unacknowledged(
    fleet: TinyFleet, stopped_aws: MiniStack
) -> None:
    worker = failing_while_it_hangs(fleet, stopped_aws)
    wait_for(lambda: "can't be parked yet" in _log(worker), what="a first try that failed")
    assert unacknowledged(fleet) == 1

    stopped_aws.signal(signal.SIGCONT)

    wait_for(lambda: fleet.dead_letters("low") == 1, seconds=60, what="the letter")
    wait_for(lambda: unacknowledged(fleet) == 0, what="its acknowledgement")
    assert begun(fleet) == 1


def test_a_store_that_stays_away_gets_the_message_given_back(
    fleet: TinyFleet, stopped_aws: MiniStack
) -> None:
    """And one that there is no room for."""
    app = fleet.app()
    app.send_task("ends.well", [1])  # reads the pointer and the manifest
    failing_while_it_hangs(fleet, stopped_aws, **{IMPATIENT: "1"})
    for _ in range(3):
        app.send_task("no.such.task")
    app.send_task("ends.well", [2])
    wait_for(lambda: begun(fleet) >= 2, seconds=60, what="the task given back and run again")
    fleet.wait_executed("well", 3)

    stopped_aws.signal(signal.SIGCONT)

    wait_for(lambda: fleet.dead_letters("low") >= 4, seconds=60, what="the letters")
    wait_for(lambda: unacknowledged(fleet) == 0 and not fleet.waiting("low", "r1"), what="nothing left")


@pytest.mark.parametrize("execution", ["prefork", "threads", "gevent"])
def test_good_messages_go_past_those_that_wait_for_the_store(
    fleet: TinyFleet, stopped_aws: MiniStack, execution: str
) -> None:
    """More of them than the worker has slots: two."""
    app = fleet.app()
    app.send_task("ends.well", [0])
    worker = fleet.start_worker("r1", **APP, **{env.EXECUTION.name: execution})
    fleet.wait_executed("well", 1)
    stopped_aws.signal(signal.SIGSTOP)
    for n in range(3):
        app.send_task("no.such.task")
        app.send_task("ends.badly", [n])
    for n in range(1, 6):
        app.send_task("ends.well", [n])

    fleet.wait_executed("well", 6)
    wait_for(lambda: unacknowledged(fleet) == 6, what="six messages that wait")
    assert "can't be parked yet" in _log(worker)
    stopped_aws.signal(signal.SIGCONT)

    wait_for(lambda: fleet.dead_letters("low") == 6, seconds=60, what="the letters")
    wait_for(lambda: unacknowledged(fleet) == 0, what="their acknowledgement")
    assert begun(fleet) == 3
    for _ in range(4):
        app.send_task("ends.slowly")
    wait_for(lambda: fleet.waiting("low", "r1") == 2, what="two tasks in the two slots")
    assert unacknowledged(fleet) == 2, "the prefetch is what it was"


@pytest.fixture
def deaf_store(fleet: TinyFleet) -> Iterator[FaultySqs]:
    """The account as the worker sees it: DynamoDB takes nothing, SQS is well."""
    proxy = FaultySqs(fleet.aws.port)
    proxy.start()
    proxy.fail("500", operation="PutItem", times=10_000)
    yield proxy
    proxy.stop()


def through(proxy: FaultySqs) -> dict[str, str]:
    return {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}"}


def test_on_sqs_good_messages_go_past_too(fleet: TinyFleet, deaf_store: FaultySqs) -> None:
    app = fleet.app()
    with force_broker(env.FALLBACK):
        for _ in range(3):
            app.send_task("no.such.task")
        for n in range(5):
            app.send_task("ends.well", [n])
    fleet.start_worker("r1", **APP, **through(deaf_store), **{env.BROKER.name: env.FALLBACK})
    fleet.wait_executed("well", 5)
    assert fleet.waiting_on_sqs("low", "r1") >= 3

    deaf_store.heal()

    wait_for(lambda: fleet.dead_letters("low") == 3, seconds=60, what="the letters")
    wait_for(lambda: fleet.waiting_on_sqs("low", "r1") == 0, what="SQS empty")


@pytest.fixture
def holding(fleet: TinyFleet, deaf_store: FaultySqs) -> subprocess.Popen[bytes]:
    """A worker that holds three messages until the store takes their letters."""
    worker = fleet.start_worker("r1", **APP, **through(deaf_store))
    app = fleet.app()
    for _ in range(3):
        app.send_task("no.such.task")
    wait_for(lambda: unacknowledged(fleet) == 3, what="three messages that wait")
    return worker


def test_what_waits_for_the_store_is_given_back_at_the_end(
    fleet: TinyFleet, holding: subprocess.Popen[bytes]
) -> None:
    holding.terminate()

    assert holding.wait(15) == 0
    assert (fleet.waiting("low", "r1"), unacknowledged(fleet)) == (3, 0)


def test_a_lost_connection_makes_no_second_letter(
    fleet: TinyFleet, deaf_store: FaultySqs, holding: subprocess.Popen[bytes]
) -> None:
    fleet.valkey.kill()
    fleet.valkey.start()
    wait_for(lambda: _log(holding).count("can't be parked yet") >= 6, seconds=60, what="them, again")
    deaf_store.heal()

    wait_for(lambda: unacknowledged(fleet) == 0, seconds=60, what="their acknowledgement")

    assert fleet.dead_letters("low") == 3


def _log(worker: subprocess.Popen[bytes]) -> str:
    return str((worker.place / "log").read_text())  # type: ignore[attr-defined]
