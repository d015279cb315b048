"""A retry that no broker takes is not the end of the task, whatever base the task has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from taskfleet.contract import environment as env
from taskfleet.dead_letters.dead_letter import DeadLetterKind
from taskfleet.worker.task import LONGEST_RETRY_SECONDS, backoff

from tests.brokers.http_faults import FaultySqs
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet

APP = {env.APP.name: "tests.taskfleet.own_tasks:app"}


@pytest.fixture
def deaf(fleet: TinyFleet) -> Iterator[FaultySqs]:
    """SQS as the worker sees it: it gives messages and takes none. Redis is gone."""
    app = fleet.app()
    fleet.valkey.kill()
    proxy = FaultySqs(fleet.aws.port)
    proxy.start()
    proxy.fail("400", operation="SendMessage", times=10_000)
    for name in ("own.fleets", "own.based", "own.automatic", "own.early"):
        app.send_task(name)
    door = {env.BROKER.name: env.FALLBACK, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}"}
    fleet.start_worker("r1", **APP, **door, **{env.CONCURRENCY.name: "4"})
    yield proxy
    proxy.stop()


def test_a_retry_that_nobody_takes_gives_the_message_back(fleet: TinyFleet, deaf: FaultySqs) -> None:
    again = ("own.fleets", "own.based", "own.automatic")
    for name in again:
        wait_for(lambda name=name: _first_tries(fleet, name) >= 2, seconds=60, what=f"{name} given back")

    deaf.heal()

    for name in again:
        fleet.wait_executed(name, 1, seconds=60)
    wait_for(lambda: fleet.waiting_on_sqs("low", "r1") == 0, what="SQS empty")
    [letter] = fleet.store.headings(["low"])
    assert letter.task == "own.early", "its message went before it ran: the letter is all that is left"
    assert "PublishError" in letter.reason


def _first_tries(fleet: TinyFleet, name: str) -> int:
    return sum(line["run"] == name and line["retries"] == 0 for line in fleet.events("began-own"))


def test_a_retry_that_can_never_be_published_is_kept(fleet: TinyFleet) -> None:
    fleet.start_worker("r1", **APP)
    app = fleet.app()
    for name in ("own.too-large", "own.not-json"):
        app.send_task(name)

    wait_for(lambda: fleet.dead_letters("low") == 2, what="both letters")

    letters = {letter.task: letter for letter in fleet.store.headings(["low"])}
    assert "MessageTooLarge" in letters["own.too-large"].reason
    assert "EncodeError" in letters["own.not-json"].reason
    assert {letter.kind for letter in letters.values()} == {DeadLetterKind.FAILED}
    assert fleet.waiting("low", "r1") == 0


def test_retries_back_off_to_a_limit_and_are_spread() -> None:
    assert [backoff(retries, spread=1.0) for retries in range(4)] == [2, 4, 8, 16]
    assert backoff(3, spread=0.0) == 8
    assert backoff(99, spread=1.0) == LONGEST_RETRY_SECONDS
