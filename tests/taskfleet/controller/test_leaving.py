"""Who shall go is marked: where ECS has more workers than it wants for two looks, and no longer than that."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from taskfleet.controller.leaving import Leaving
from taskfleet.measuring.services import Service
from taskfleet.scaling import marks

from tests.support.valkey import Valkey

POOL = SimpleNamespace(name="low")
RECORD = SimpleNamespace(release="r1", manifest=SimpleNamespace(pools=(POOL,)))


class Ecs:
    """Lists the tasks that it has not told to stop."""

    def __init__(self, *tasks: str) -> None:
        self.tasks = tasks

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_tasks"
        return self

    def paginate(self, **asked: str) -> list[dict[str, list[str]]]:
        assert (asked["serviceName"], asked["desiredStatus"]) == ("low-r1", "RUNNING")
        return [{"taskArns": [f"arn:aws:ecs:us-east-1:1:task/c/{task}" for task in reversed(self.tasks)]}]

    def describe_tasks(self, *, cluster: str, tasks: list[str]) -> dict[str, Any]:
        """The one that was given first is the oldest."""
        ages = {name: number for number, name in enumerate(self.tasks)}
        return {
            "tasks": [
                {"taskArn": arn, "createdAt": datetime.fromtimestamp(ages[arn.rpartition("/")[2]], UTC)}
                for arn in tasks
            ]
        }


def seen(desired: int, running: int, *, up: bool = True) -> Any:
    return SimpleNamespace(
        services={"low-r1": Service(desired=desired, running=running)}, broker_up=up, live=[RECORD]
    )


@pytest.fixture
def clients(valkey: Valkey) -> Any:
    client = valkey.client()
    client.delete("taskfleet:leaving:low-r1")
    return SimpleNamespace(environment="t", primary=client, ecs=Ecs("a", "b", "c"))


def marked(clients: Any) -> set[str]:
    return marks.read(clients.primary, "low-r1")


def test_a_surplus_that_lasts_is_marked_and_the_same_ones_stay_so(clients: Any) -> None:
    leaving = Leaving()
    assert leaving.look(clients, seen(2, 3)) == []
    assert marked(clients) == set(), "one look may be a worker that is just ending"
    leaving.look(clients, seen(2, 3))
    assert marked(clients) == {"a"}
    clients.ecs = Ecs("older", "a", "b", "c")
    leaving.look(clients, seen(3, 4))
    assert marked(clients) == {"a"}


def test_marks_are_taken_back_when_they_are_needed_again(clients: Any) -> None:
    leaving = Leaving()
    for _ in range(2):
        leaving.look(clients, seen(1, 3))
    assert marked(clients) == {"a", "b"}
    leaving.look(clients, seen(3, 3))
    assert marked(clients) == set()


def test_those_that_end_already_are_no_surplus(clients: Any) -> None:
    clients.ecs = Ecs("a", "b")
    leaving = Leaving()
    for _ in range(3):
        leaving.look(clients, seen(2, 5))
    assert marked(clients) == set()


def test_what_is_not_known_marks_nobody(clients: Any) -> None:
    leaving = Leaving()
    for _ in range(3):
        leaving.look(clients, seen(1, 3, up=False))
        leaving.look(clients, SimpleNamespace(services=None, broker_up=True, live=[RECORD]))
    assert marked(clients) == set()


def test_what_fails_is_a_problem_in_words(clients: Any) -> None:
    leaving, clients.ecs = Leaving(), Failing()
    leaving.look(clients, seen(1, 3))
    assert "not marked: no answer" in leaving.look(clients, seen(1, 3))[0]


class Failing:
    """Does not answer."""

    def get_paginator(self, _operation: str) -> Any:
        raise OSError("no answer")
