"""A clone that another team has made its own is as green as this checkout.

Here lint, and the tests that settings and tasks of a team could break; `make test-clone` runs `make check`'s
quick tests in it, all of them.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from infra import chosen
from tests.clone.become import GONE, become

# All others run on settings and tasks of their own, and are only collected here.
TESTS = (
    "tests/infra/test_yours.py",
    "tests/drills/test_roles.py",
    "tests/drills/test_brokers.py",
    "tests/local/try_it/test_progress.py",
    "tests/taskfleet/test_example_tasks.py",
    "tests/test_readme.py",
)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return become(tmp_path_factory.mktemp("clone"))


def environment(clone: Path) -> Mapping[str, str]:
    """As a shell there has it."""
    source = str(clone / "worker_image/src")
    return {name: value for name, value in os.environ.items() if name != chosen.VARIABLE} | {
        "PYTHONPATH": f"{source}:{clone / GONE}",
        "MYPYPATH": source,
    }


def run(clone: Path, *command: str) -> None:
    done = subprocess.run(
        [clone / ".venv/bin" / command[0], *command[1:]],
        cwd=clone,
        env=environment(clone),
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]


@pytest.mark.parametrize(
    "command", [("ruff", "check"), ("ruff", "format", "--check"), ("mypy",)], ids=" ".join
)
def test_its_style_and_types_are_right(clone: Path, command: tuple[str, ...]) -> None:
    run(clone, *command)


def test_every_test_can_be_collected(clone: Path) -> None:
    run(clone, "python", "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider")


def test_what_settings_and_tasks_could_break_holds(clone: Path) -> None:
    tests = TESTS if os.environ.get("TASKFLEET_TEST_CLONE") != "full" else ("-m", "not slow", "tests")
    run(clone, "python", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not fleet", *tests)
