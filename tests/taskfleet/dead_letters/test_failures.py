"""A task that fails for good leaves a letter before its message is acknowledged; no other does."""

from __future__ import annotations

import signal
import subprocess

import pytest
from taskfleet.contract import environment as env
from taskfleet.dead_letters.letter import Kind, Letter

from tests.support.ministack import MiniStack
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.taskfleet.dead_letters.tasks import IMPATIENT

APP = {env.APP.name: "tests.taskfleet.dead_letters.tasks:app"}
FAILING = {
    "ends.badly": Kind.FAILED,
    "ends.retried": Kind.RETRIES_EXHAUSTED,
    "ends.late": Kind.FAILED,
    "ends.in-memory": Kind.FAILED,
    "ends.early": Kind.FAILED,
    "ends.kept-back": Kind.FAILED,
    "ends.killed": Kind.RETRIES_EXHAUSTED,
}
NO_FAILURE = ("ends.as-expected", "ends.ignored", "ends.rejected", "ends.retried-well")


def letters(fleet: TinyFleet) -> dict[str, Letter]:
    found = [fleet.store.get(heading.id) for heading in fleet.store.headings(["low"])]
    return {letter.task or "": letter for letter in found if letter is not None}


def unacknowledged(fleet: TinyFleet) -> int:
    return int(fleet.valkey.client().hlen("unacked"))  # type: ignore[arg-type]


def begun(fleet: TinyFleet) -> int:
    return len(list(fleet.events("began-badly")))


@pytest.mark.parametrize("execution", ["prefork", "threads", "gevent"])
def test_each_final_failure_is_kept_once_and_nothing_else(fleet: TinyFleet, execution: str) -> None:
    # Neither a thread nor a greenlet can be killed, or stopped at its time limit.
    only_in_processes = {"ends.late", "ends.killed"} if execution != "prefork" else set()
    failing = {name: kind for name, kind in FAILING.items() if name not in only_in_processes}
    app = fleet.app()
    for name in (*failing, *NO_FAILURE):
        app.send_task(name, [7] if name == "ends.badly" else [])

    worker = fleet.start_worker("r1", **APP, **{env.EXECUTION.name: execution})
    app.send_task("ends.well", [1])

    fleet.wait_executed("well", 1, seconds=30)
    wait_for(lambda: fleet.dead_letters("low") >= len(failing), seconds=40, what="the letters")
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
    assert letter.args == "7, note='é'"
    assert letter.message.content_type == "application/json"
    assert letter.message.headers["task"] == "ends.badly"


def test_a_failure_on_sqs_is_kept_too(fleet: TinyFleet) -> None:
    app = fleet.app()
    fleet.valkey.kill()
    app.send_task("ends.badly", [1])
    fleet.start_worker("r1", **APP, **{env.BROKER.name: env.FALLBACK})

    wait_for(lambda: fleet.dead_letters("low") == 1, seconds=20, what="the letter")
    wait_for(lambda: fleet.waiting_on_sqs("low", "r1") == 0, what="SQS empty")


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
    wait_for(lambda: "can't be kept yet" in _log(worker), what="a first try that failed")
    assert unacknowledged(fleet) == 1

    stopped_aws.signal(signal.SIGCONT)

    wait_for(lambda: fleet.dead_letters("low") == 1, seconds=20, what="the letter")
    wait_for(lambda: unacknowledged(fleet) == 0, what="its acknowledgement")
    assert begun(fleet) == 1


def test_a_store_that_stays_away_gets_the_message_given_back(
    fleet: TinyFleet, stopped_aws: MiniStack
) -> None:
    failing_while_it_hangs(fleet, stopped_aws, **{IMPATIENT: "1"})
    wait_for(lambda: begun(fleet) >= 2, seconds=20, what="the task given back and run again")

    stopped_aws.signal(signal.SIGCONT)

    wait_for(lambda: fleet.dead_letters("low") >= 1, seconds=20, what="the letter")
    wait_for(lambda: unacknowledged(fleet) == 0 and not fleet.waiting("low", "r1"), what="nothing left")


def test_a_malformed_message_waits_for_the_store_too(fleet: TinyFleet, stopped_aws: MiniStack) -> None:
    app = fleet.app()
    app.send_task("ends.well", [0])
    worker = fleet.start_worker("r1", **APP)
    stopped_aws.signal(signal.SIGSTOP)
    app.send_task("no.such.task")
    wait_for(lambda: "can't be parked yet" in _log(worker), what="a first try that failed")
    app.send_task("ends.well", [1])

    fleet.wait_executed("well", 2)
    assert unacknowledged(fleet) == 1
    stopped_aws.signal(signal.SIGCONT)

    wait_for(lambda: fleet.dead_letters("low") == 1, seconds=20, what="the letter")
    wait_for(lambda: unacknowledged(fleet) == 0, what="its acknowledgement")


def _log(worker: subprocess.Popen[bytes]) -> str:
    return str((worker.place / "log").read_text())  # type: ignore[attr-defined]
