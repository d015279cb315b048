"""`make status` says which service's newest container did not stay up, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from local.broken import _said, newest_failures
from local.last_words import end_of


def task(service: str, at: int, *, code: int | None = None, number: str = "1") -> dict[str, Any]:
    """As DescribeTasks has it; stopped if it has an exit code."""
    return {
        "taskArn": f"arn:aws:ecs:us-east-1:000000000000:task/c/{number}",
        "group": f"service:{service}",
        "createdAt": f"2026-01-01T00:00:{at:02d}Z",
        "lastStatus": "RUNNING" if code is None else "STOPPED",
        "containers": [{"name": "main", **({} if code is None else {"exitCode": code})}],
    }


def test_a_service_that_keeps_its_old_worker_after_a_broken_save_is_named() -> None:
    tasks = [task("low", 1), task("low", 2, code=1), task("low", 3, code=78), task("high", 1)]

    [(service, newest)] = newest_failures(tasks)

    assert service == "low"
    assert newest["containers"][0]["exitCode"] == 78


def test_it_is_not_once_a_newer_one_runs_or_one_was_stopped_in_order() -> None:
    assert list(newest_failures([task("low", 1, code=1), task("low", 2)])) == []
    assert list(newest_failures([task("low", 1), task("low", 2, code=0)])) == []
    assert list(newest_failures([])) == []


def test_the_end_of_its_log_is_shown(tmp_path: Path) -> None:
    log = tmp_path / "low" / "abc.log"
    log.parent.mkdir()
    log.write_text("a\nb\nc\nd\nModuleNotFoundError: No module named 'tasc'\n")

    said = _said(tmp_path, "low", task("low", 1, code=1, number="abc"))

    assert "low: its newest container ended with exit code 1" in said
    assert "No module named 'tasc'" in said
    assert end_of(tmp_path / "gone.log") == ""
