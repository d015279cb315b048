"""`fleet schedule etas`, and what `fleet status` says of them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from taskfleet.etas.eta import Binding, Eta, to_item
from taskfleet.etas.store import Etas

from tests.taskfleet.cli.conftest import Fleet


def eta(id: str, **more: Any) -> Eta:
    made = Eta(
        due=time.time() + 7200,
        id=id,
        task="shop.remind",
        queue="low",
        binding=Binding.CURRENT,
        release=None,
        at=time.time() - 60,
        headers={"argsrepr": "(7,)", "kwargsrepr": "{}", "origin": "web-1"},
        options={},
        body="[[7], {}, {}]",
    )
    return replace(made, **more)


@pytest.fixture
def etas(up: Fleet) -> Etas:
    store = Etas(lambda: up.account.dynamodb, up.account.name)
    later = time.time() + 9 * 86400
    store.put(
        [
            to_item(one)
            for one in (
                eta("first"),
                eta("child", due=later, queue="high", binding=Binding.RELEASE, release="blue"),
                eta("pinned", due=later + 5, task="shop.bill", binding=Binding.PINNED, release="blue"),
            )
        ]
    )
    return store


def test_they_are_listed_the_next_first(up: Fleet, etas: Etas) -> None:
    head, *rows = up.run("schedule", "etas", "list").output.splitlines()

    assert head.split()[:3] == ["task", "id", "due"]
    assert [row.split()[0] for row in rows] == ["first", "child", "pinned"]
    assert ["2 h" in rows[0] or "1 h 59 min" in rows[0], "8 d 23 h" in rows[1] or "9 d" in rows[1]] == [
        True
    ] * 2
    ends = ("the current release", "blue, or the current release", "blue only")
    assert all(row.endswith(end) for row, end in zip(rows, ends, strict=True))


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--task", "shop.bill"], ["pinned"]),
        (["--queue", "high"], ["child"]),
        (["--within", "3"], ["first"]),
        (["--limit", "1"], ["first"]),
    ],
)
def test_only_some_of_them(up: Fleet, etas: Etas, options: list[str], ids: list[str]) -> None:
    found = up.json("schedule", "etas", "list", *options)

    assert [each["id"] for each in found["etas"]] == ids


def test_a_list_that_is_cut_off_says_so(up: Fleet, etas: Etas) -> None:
    assert up.run("schedule", "etas", "list", "--limit", "1").output.endswith("2 more: --limit 3\n")


def test_one_is_shown_with_its_arguments(up: Fleet, etas: Etas) -> None:
    output = up.run("schedule", "etas", "show", "child").output

    assert "task       shop.remind (child)" in output
    assert "queue      high, of blue, or the current release" in output
    assert "arguments  (7,) {}" in output
    assert up.json("schedule", "etas", "show", "child")["etas"][0]["body"] == "[[7], {}, {}]"


def test_one_is_cancelled_with_yes_only(up: Fleet, etas: Etas) -> None:
    said = up.run("schedule", "etas", "cancel", "first").output
    assert "would: delete shop.remind (first), due" in said
    assert "do it with --yes" in said
    assert etas.count().number == 3

    done = up.run("schedule", "etas", "cancel", "first", "--yes")
    assert done.exit_code == 0
    assert [each.id for each in etas.waiting()] == ["child", "pinned"]
    again = up.run("schedule", "etas", "cancel", "first", "--yes")
    assert again.exit_code == 1
    assert "no task 'first' waits for a far ETA" in again.output


def test_one_that_is_almost_due_may_have_been_sent(up: Fleet, etas: Etas) -> None:
    etas.put([to_item(eta("soon", due=time.time() + 30))])

    assert "it may be on its way" in up.run("schedule", "etas", "cancel", "soon", "--yes").output


def test_the_status_says_how_many_wait_and_when_the_next_is_due(up: Fleet) -> None:
    up.look()
    assert "far ETAs         none waits" in up.run("status").output
    store = Etas(lambda: up.account.dynamodb, up.account.name)
    due = time.time() + 7240
    store.put([to_item(eta("first", due=due)), to_item(eta("second", due=due + 86400))])

    up.look()

    page, found = up.run("status"), up.json("status")
    assert "far ETAs         2 wait, the next is due in 2 h" in page.output
    assert (found["etas_waiting"], found["etas_waiting_is_all"], found["etas_late_seconds"]) == (2, True, 0)
    assert found["next_eta"] == pytest.approx(due, abs=0.01)


def test_and_how_late_the_oldest_is(up: Fleet) -> None:
    store = Etas(lambda: up.account.dynamodb, up.account.name)
    store.put([to_item(eta("late", due=time.time() - 330))])

    up.look()

    assert "far ETAs         1 wait, THE OLDEST IS LATE by 5 min" in up.run("status").output
    assert up.json("status")["etas_late_seconds"] == pytest.approx(330, abs=25)
