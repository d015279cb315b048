"""An application that is imported: its files, its routes, and what its workers do about findings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from taskfleet.contract import environment as env
from taskfleet.errors import EX_CONFIG, SettingsError
from taskfleet.linting import applications

from tests.support.tiny_fleet import TinyFleet
from tests.taskfleet.linting.regretted import app

NAME = "tests.taskfleet.linting.regretted:app"
FLEET = str(Path(sys.executable).with_name("fleet"))
ROOT = Path(__file__).parents[3]


def _lint(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([FLEET, *options], capture_output=True, text=True, cwd=ROOT, check=False)


def test_its_own_files_are_those_of_its_tasks() -> None:
    """Shared tasks of other tests' modules are every application's."""
    assert Path(__file__).with_name("regretted.py") in applications.files(app)


def test_a_task_that_no_pool_has_a_queue_for() -> None:
    (found,) = [
        each for each in applications.unrouted(app, {"low"}) if each.file.endswith("linting/regretted.py")
    ]

    assert (found.line, found.rule) == (20, "no-pool")
    assert found.says.endswith(
        "lost goes to the queue 'nowhere', which no pool has: a publish of it is refused"
    )
    assert "nowhere" not in str(list(applications.unrouted(app, {"low", "nowhere"})))


def test_another_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.conf, "taskfleet_lint", "loud")

    with pytest.raises(SettingsError, match="taskfleet_lint = 'loud': allowed are 'strict', 'warn', 'off'"):
        applications.mode(app)


def test_the_command_lists_them_and_is_strict_if_asked() -> None:
    source = ROOT / "tests" / "taskfleet" / "linting" / "regretted.py"

    done = _lint("lint", NAME, "--source", str(source), "--queues", "low")
    assert done.returncode == 0, done.stderr
    assert "regretted.py:15: [no-expiry] endless never expires" in done.stdout
    assert "regretted.py:20: [no-pool]" in done.stdout
    done = _lint("--json", "lint", "--source", str(source), "--strict")
    assert done.returncode == 1
    assert [each["rule"] for each in json.loads(done.stdout)["findings"]] == ["no-expiry"]
    assert _lint("lint", "--strict").returncode == 2


def test_a_worker_logs_them_and_does_not_start_if_it_is_strict(fleet: TinyFleet) -> None:
    worker = fleet.start_worker("r1", **{env.APP.name: NAME})
    log = (fleet.directory / "worker-0" / "log").read_text()
    assert "lint: " in log
    assert "[no-expiry] endless never expires" in log
    assert "[no-pool] tests.taskfleet.linting.regretted.lost goes to the queue 'nowhere'" in log
    fleet.kill(worker)

    with pytest.raises(AssertionError, match="2 findings: this worker does not start"):
        fleet.start_worker("r1", **{env.APP.name: NAME, "REGRETTED_LINT": "strict"})
    assert fleet._workers[-1].returncode == EX_CONFIG
