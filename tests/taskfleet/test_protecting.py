"""Scale-in takes no busy worker: protection is asked for, extended, released; a marked worker goes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import pairwise
from urllib.error import HTTPError

import pytest
from botocore.exceptions import ClientError
from taskfleet.contract import names
from taskfleet.scaling import marks
from taskfleet.worker.protecting import BETWEEN_SECONDS, MINUTES, Protection, put

from local.agent.endpoint import Endpoint, Protections
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.support.valkey import Valkey

RECORD = "drills.record"


class Agent:
    """What was asked of it, at what time; ``fails`` while it does not answer."""

    def __init__(self) -> None:
        self.now, self.fails = 0.0, False
        self.asked: list[tuple[float, bool]] = []

    def ask(self, protected: bool) -> str:
        self.asked.append((self.now, protected))
        if self.fails:
            raise TimeoutError("no answer")
        return "t1"

    def run(self, protection: Protection, seconds: int, *, busy: bool) -> None:
        for _ in range(seconds):
            protection.step(busy)
            self.now += 1


@pytest.fixture
def agent() -> Agent:
    return Agent()


@pytest.fixture
def protection(agent: Agent) -> Protection:
    return Protection(agent.ask, lambda: agent.now)


def test_a_worker_that_was_never_busy_asks_nothing(agent: Agent, protection: Protection) -> None:
    agent.run(protection, 100, busy=False)
    assert agent.asked == []


def test_a_long_task_is_protected_at_once_and_extended_before_its_protection_ends(
    agent: Agent, protection: Protection
) -> None:
    agent.run(protection, 3600, busy=True)
    times = [at for at, protected in agent.asked if protected]
    assert times[0] == 0
    assert len(times) == len(agent.asked)
    assert all(30 <= later - at < 60 * MINUTES for at, later in pairwise(times))


def test_it_is_released_at_once_after_and_seldom_when_busy_by_turns(
    agent: Agent, protection: Protection
) -> None:
    agent.run(protection, 60, busy=True)
    agent.run(protection, 1, busy=False)
    assert agent.asked[-1] == (60, False)
    before = len(agent.asked)
    for _ in range(50):
        agent.run(protection, 1, busy=True)
        agent.run(protection, 1, busy=False)
    assert len(agent.asked) - before <= 2 * 100 / BETWEEN_SECONDS + 1


def test_an_agent_that_fails_is_asked_ever_more_seldom_and_then_answers(
    agent: Agent, protection: Protection
) -> None:
    agent.fails = True
    agent.run(protection, 600, busy=True)
    assert 5 < len(agent.asked) < 20
    assert not protection.protected
    agent.fails = False
    agent.run(protection, 61, busy=True)
    assert (protection.protected, protection.task_id) == (True, "t1")


def _ecs(task_id: str, protected: bool, minutes: int) -> None:
    if task_id == "refused":
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "UpdateTaskProtection")


@pytest.fixture
def served() -> Iterator[tuple[Protections, Endpoint]]:
    protections = Protections()
    endpoint = Endpoint(protections, _ecs)
    yield protections, endpoint
    with contextlib.suppress(OSError):
        endpoint.close()


def test_the_endpoint_is_asked_as_documented(served: tuple[Protections, Endpoint]) -> None:
    protections, endpoint = served
    assert put(endpoint.uri("abc"), True) == "abc"
    assert protections.until("abc") is not None
    put(endpoint.uri("abc"), False)
    assert protections.until("abc") is None
    with pytest.raises(HTTPError, match="500"):
        put(endpoint.uri("refused"), True)
    assert protections.until("refused") is None
    endpoint.close()
    with pytest.raises(OSError, match="refused"):
        put(endpoint.uri("abc"), True)


def test_those_that_go_already_go_on_going() -> None:
    assert marks.chosen(["a", "b", "c"], {"c"}, 2) == ["c", "a"]
    assert marks.chosen(["a", "b"], {"gone"}, -1) == []


def test_marks_are_taken_back_and_end_by_themselves(valkey: Valkey) -> None:
    client = valkey.client()
    marks.write(client, "s", ["a", "b"])
    assert (marks.is_marked(client, "s", "a"), marks.read(client, "s")) == (True, {"a", "b"})
    assert 0 < client.ttl("taskfleet:leaving:s") <= marks.SECONDS
    marks.write(client, "s", [])
    assert not marks.is_marked(client, "s", "a")


def test_a_marked_worker_ends_what_runs_takes_nothing_new_and_loses_its_protection(
    fleet: TinyFleet, served: tuple[Protections, Endpoint]
) -> None:
    protections, endpoint = served
    worker = fleet.start_worker("r1", ECS_AGENT_URI=endpoint.uri("me"))
    app, service = fleet.app(), names.service("low", "r1")
    for n in range(2):
        app.send_task(RECORD, ["first", n, 4])
    wait_for(lambda: protections.until("me") is not None, what="its protection")

    marks.write(fleet.valkey.client(), service, ["me"])
    log = worker.place / "log"  # type: ignore[attr-defined]
    wait_for(lambda: "one too many" in log.read_text(), what="its mark")
    app.send_task(RECORD, ["second", 0, 0])
    fleet.wait_executed("first", 2)
    wait_for(lambda: protections.until("me") is None, seconds=30, what="the end of its protection")
    assert fleet.waiting("low", "r1") == 1
    assert fleet.health(worker) == 0

    marks.write(fleet.valkey.client(), service, [])
    fleet.wait_executed("second", 1)
