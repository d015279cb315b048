"""`fleet tasks`, of what the controller kept."""

from __future__ import annotations

import time

import pytest
from taskfleet.measuring import adding
from taskfleet.worker.tally import measured

from tests.taskfleet.cli.conftest import Fleet

SLOW = {"outcome:succeeded": 4, **dict(measured("runtime", 40.0)), **dict(measured("wait:0", 90.0))}
FAILING = {
    "outcome:failed": 2,
    "outcome:retried": 5,
    "exception:KeyError": 7,
    **dict(measured("runtime", 0.2)),
}
COUNTS = {
    ("low", "shop.slow"): SLOW,
    ("high", "shop.failing"): FAILING,
    ("low", "shop.often"): {"outcome:succeeded": 900},
}


@pytest.fixture
def counted(up: Fleet) -> Fleet:
    """The fleet, a minute and a look after its workers had counted."""
    adding.add(up.account.redis, up.account.name, "blue", adding.pages(COUNTS, first=1), sender="a")
    up.account.clock.now = time.time() + 70
    up.look()
    return up


def test_what_fails_comes_first_and_each_order_can_be_asked_for(counted: Fleet) -> None:
    def first(*arguments: str) -> str:
        return str(counted.run("tasks", *arguments).output.splitlines()[1].split()[0])

    assert first() == "shop.failing"
    assert first("--by", "runs") == "shop.often"
    assert first("--by", "runtime") == first("--by", "wait") == first("--by", "work") == "shop.slow"
    assert first("--queue", "low") == "shop.often"
    output = counted.run("tasks").output
    assert "KeyError 7" in output
    assert "1 min" in output  # the wait
    assert "OLD" not in output


def test_nothing_to_list_is_said(counted: Fleet) -> None:
    assert counted.run("tasks", "--release", "green").output.startswith("no run of these was counted")


def test_scripts_get_every_figure(counted: Fleet) -> None:
    said = counted.json("tasks")

    (slow,) = (each for each in said["tasks"] if each["task"] == "shop.slow")
    assert (slow["runs"], slow["failed"], slow["queue"], slow["release"]) == (4, 0, "low", "blue")
    assert slow["runtime_p95"] == pytest.approx(40, rel=0.2)
    assert slow["memory_p95_mib"] is None
    assert said["left_out"] == 0
    assert counted.json("tasks", "--release", "green")["tasks"] == []


def test_old_figures_say_so(counted: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    later = time.time() + 3600
    monkeypatch.setattr("taskfleet.cli.tasks.time.time", lambda: later)

    assert "OLD" in counted.run("tasks").output


def test_before_anything_was_counted_it_says_what_to_ask(aws_environment: object, up: Fleet) -> None:
    up.account.dynamodb.delete_item(TableName=f"taskfleet-{up.account.name}-state", Key={"id": {"S": "hour"}})

    result = up.run("tasks")

    assert result.exit_code == 1
    assert "fleet status" in result.output
