"""`fleet schedule`: what is said of periodic tasks, and that a changed one is noticed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from celery.schedules import crontab
from click.testing import CliRunner, Result
from taskfleet.cli.main import fleet

from tests.taskfleet.cli.scheduled import app

APP = "tests.taskfleet.cli.scheduled:app"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(fleet, list(arguments))


def test_entries_are_listed() -> None:
    _, nightly, still = run("schedule", "list", APP).output.splitlines()
    assert nightly.split()[:2] == ["nightly-report", "scheduled.report"]
    assert "UTC" in nightly
    assert "60.00 seconds" in still or "1.00 minute" in still
    found = json.loads(run("--json", "schedule", "list", APP).output)["entries"]
    assert [each["entry"] for each in found] == ["nightly-report", "still-there"]


def test_the_next_firings_are_printed() -> None:
    said = run("schedule", "next", APP, "nightly-report", "-n", "2", "--since", "2026-01-01").output
    assert said.splitlines() == [
        "nightly-report",
        "  2026-01-01 03:00:00+00:00  2026-01-01 03:00:00 UTC",
        "  2026-01-02 03:00:00+00:00  2026-01-02 03:00:00 UTC",
    ]
    unknown = run("schedule", "next", APP, "nihgtly")
    assert unknown.exit_code == 1
    assert "there are: nightly-report, still-there" in unknown.output
    assert run("schedule", "next", APP, "--since", "tomorrow").exit_code == 2


def test_a_changed_schedule_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = str(tmp_path / "firings.json")
    assert "--write" in run("schedule", "verify", APP, file).output
    assert run("schedule", "verify", APP, file, "--write", "--since", "2026-01-01").exit_code == 0
    same = run("schedule", "verify", APP, file)
    assert (same.exit_code, same.output) == (0, f"the firings of 2 entries are those of {file}\n")
    changed = {**app.conf.beat_schedule["nightly-report"], "schedule": crontab(hour=4, minute=0)}
    new = {"task": "scheduled.report", "schedule": 3600.0}
    monkeypatch.setitem(app.conf, "beat_schedule", {"nightly-report": changed, "new": new})
    other = run("schedule", "verify", APP, file)
    assert other.exit_code == 1
    assert "still-there: is no longer there" in other.output
    assert "new: is new" in other.output
    assert '"2026-01-01T03:00:00+00:00"' in other.output
    assert '"2026-01-01T04:00:00+00:00"' in other.output


def test_another_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text("[]")
    result = run("schedule", "verify", APP, str(file))
    assert result.exit_code == 1
    assert "was not written by" in result.output
