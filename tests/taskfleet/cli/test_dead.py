"""`fleet dead`: list, show, delete, and send again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from taskfleet.cli import redrive
from taskfleet.contract import names
from taskfleet.dead_letters.dead_letter import DeadLetter, DeadLetterKind
from taskfleet.dead_letters.redriving import Redrive
from taskfleet.dead_letters.store import DeadLetters

from tests.taskfleet.cli.conftest import Fleet
from tests.taskfleet.dead_letters.test_store import NOW, letter


def store(up: Fleet) -> DeadLetters:
    return DeadLetters(up.account.dynamodb, up.account.name)


def put(up: Fleet, count: int, **changes: Any) -> list[DeadLetter]:
    made = [letter(**{"at": NOW - n, "task_id": f"task-{n}"} | changes) for n in range(count)]
    for each in made:
        store(up).put(each)
    return made


def sent(up: Fleet, release: str = "blue", queue: str = "low") -> list[str]:
    """Task ids on the twin; takes them away."""
    sqs = up.account.sqs
    url = sqs.get_queue_url(QueueName=names.fallback_queue(up.account.name, queue, release))["QueueUrl"]
    ids = []
    while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in found:
            ids.append(json.loads(message["Body"])["headers"]["id"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return sorted(ids)


def test_an_empty_store_says_so(up: Fleet) -> None:
    assert up.run("dead", "list").output == "no dead letters\n"
    assert up.json("dead", "list") == {"letters": [], "before": None}


def test_a_list_is_filtered_and_goes_on(up: Fleet) -> None:
    made = put(up, 5)
    put(up, 1, queue="high", kind=DeadLetterKind.UNKNOWN_TASK, task="shop.new")

    first = up.json("dead", "list", "--queue", "low", "--limit", "3")
    rest = up.json("dead", "list", "--queue", "low", "--before", first["before"])

    assert [each["id"] for each in first["letters"] + rest["letters"]] == [each.id for each in made]
    assert rest["before"] is None
    (only,) = up.json("dead", "list", "--kind", "unknown-task")["letters"]
    assert only["queue"] == "high"
    assert len(up.json("dead", "list", "--task", "shop.order")["letters"]) == 5
    page = up.run("dead", "list", "--limit", "2").output
    assert made[0].id in page
    assert "there are more: --before" in page


def test_a_queue_that_never_was_is_an_error(up: Fleet) -> None:
    result = up.run("dead", "list", "--queue", "hihg")

    assert result.exit_code == 1
    assert "no release has had a queue 'hihg': one of etl, high, low" in result.output


def test_show_has_everything(up: Fleet) -> None:
    (made,) = put(up, 1, traceback="Traceback …\nKeyError: 1")

    page, data = up.run("dead", "show", made.id).output, up.json("dead", "show", made.id)

    for text in (made.id, "failed: KeyError: 1", "shop.order (task-0)", "arguments  1", "Traceback …"):
        assert text in page
    assert data["message"]["body_base64"]
    assert data["message"]["headers"]["task"] == "shop.order"
    missing = up.run("dead", "show", "nothing")
    assert (missing.exit_code, "no dead letter 'nothing'" in missing.output) == (1, True)


def test_a_terminal_obeys_nothing_that_a_task_wrote(up: Fleet) -> None:
    put(up, 1, task="shop.\x1b]0;title\x07", reason="no\rsto\ud800ck", traceback="File\n\tline \x9b2J")

    (listed,) = up.json("dead", "list")["letters"]
    shown = up.run("dead", "list").output + up.run("dead", "show", listed["id"]).output

    assert not {"\x1b", "\x07", "\r", "\x9b"} & set(shown)
    assert r"shop.\x1b]0;title\x07" in shown
    assert "File\n\tline " in shown


def test_nothing_is_changed_without_yes(up: Fleet) -> None:
    (made,) = put(up, 1)

    for command in (("delete", made.id), ("redrive", made.id), ("redrive", "--all")):
        result = up.run("dead", *command)
        assert result.exit_code == 0
        assert "nothing was changed; do it with --yes" in result.output

    assert store(up).get(made.id) == made
    assert sent(up) == []


def test_delete_twice(up: Fleet) -> None:
    first, second = put(up, 2)

    assert "deleted" in up.run("dead", "delete", first.id, "--yes").output
    again = up.run("dead", "delete", first.id, "--yes")

    assert (again.exit_code, "is not there" in again.output) == (0, True)
    assert store(up).get(second.id) == second


def test_delete_all_that_a_filter_lets_through_with_a_summary(up: Fleet) -> None:
    made = put(up, 3)
    kind, task = made[0].kind, made[0].task

    assert up.run("dead", "delete").exit_code == 2
    assert up.run("dead", "delete", made[0].id, "--all").exit_code == 2
    would = up.run("dead", "delete", "--all")
    assert f"would: 3 of task {task} in queue {made[0].queue}, {kind}: deleted" in would.output
    assert store(up).get(made[0].id) == made[0], "a dry run deletes nothing"
    assert "no dead letters" in up.run("dead", "delete", "--all", "--task", "no.such", "--yes").output

    up.run("dead", "delete", "--all", "--task", str(task), "--yes")

    assert [store(up).get(each.id) for each in made] == [None] * 3


def test_redrive_some_all_and_again(up: Fleet) -> None:
    made = put(up, 4)

    some = up.json("dead", "redrive", made[1].id, made[2].id, "--yes")
    assert some["redriven"] == [made[1].id, made[2].id]
    assert sent(up) == ["task-1", "task-2"]

    everything = up.json("dead", "redrive", "--all", "--per-second", "100", "--yes")
    assert everything["redriven"] == [made[0].id, made[3].id]
    assert sent(up) == ["task-0", "task-3"]

    again = up.json("dead", "redrive", made[1].id, "--yes")
    assert (again["redriven"], again["gone"]) == ([], [made[1].id])
    assert up.json("dead", "redrive", "--all", "--yes")["redriven"] == []
    assert sent(up) == []


def test_redrive_goes_to_the_release_that_is_current_now(up: Fleet) -> None:
    put(up, 1)
    up.bring_up("green")
    up.run("release", "promote", "green", "--yes")

    assert up.json("dead", "redrive", "--all", "--yes")["release"] == "green"

    assert sent(up, "green") == ["task-0"]
    assert sent(up, "blue") == []


def test_filters_of_redrive(up: Fleet) -> None:
    put(up, 2)
    put(up, 1, task="shop.refund")
    put(up, 1, queue="high")

    up.run("dead", "redrive", "--all", "--queue", "low", "--task", "shop.refund", "--yes")

    assert sent(up) == ["task-0"]
    assert store(up).counts(["low", "high"]) == {"low": 2, "high": 1}


def test_what_can_not_be_sent_stays_and_is_said(up: Fleet) -> None:
    (good,) = put(up, 1)
    (bad,) = put(up, 1, task=None, task_id=None, kind=DeadLetterKind.NOT_A_MESSAGE)

    result = up.run("dead", "redrive", "--all", "--yes")

    assert result.exit_code == 1
    assert f"{bad.id}: stays: it names no task and id" in result.output
    assert "1 sent to release blue" in result.output
    assert store(up).get(good.id) is None
    assert store(up).get(bad.id) == bad


def test_an_interrupted_redrive_goes_on_where_it_was(up: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    put(up, 5)
    send, calls = Redrive.send, []

    def interrupted(self: Redrive, one: DeadLetter) -> None:
        calls.append(one.id)
        if len(calls) == 3:
            raise KeyboardInterrupt
        send(self, one)

    monkeypatch.setattr(redrive.Redrive, "send", interrupted)  # type: ignore[attr-defined]
    stopped = up.run("dead", "redrive", "--all", "--per-second", "100", "--yes")
    assert stopped.exit_code != 0
    assert "2 sent" in stopped.output
    assert store(up).counts(["low"]) == {"low": 3}

    up.run("dead", "redrive", "--all", "--per-second", "100", "--yes")

    assert sent(up) == [f"task-{n}" for n in range(5)]
    assert store(up).counts(["low"]) == {"low": 0}


@pytest.mark.parametrize("arguments", [[], ["an-id", "--all"], ["an-id", "--queue", "low"]], ids=str)
def test_redrive_wants_ids_or_all(up: Fleet, arguments: list[str]) -> None:
    result = up.run("dead", "redrive", *arguments)

    assert result.exit_code == 2
    assert "ids of letters, or --all" in result.output
