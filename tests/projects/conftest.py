"""Real projects on a small environment: each is a folder that a worker gets as its path."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.tiny_fleet import TinyFleet
from tests.taskfleet.conftest import fleet

__all__ = ["fleet"]

Shell = Callable[[str], str]


@pytest.fixture
def shell(fleet: TinyFleet) -> Callable[[Path, dict[str, str]], Shell]:
    """Runs Python code in a process of the project's, as a web process or a management command is one."""

    def of(project: Path, environment: dict[str, str]) -> Shell:
        def run(code: str) -> str:
            done = subprocess.run(
                [sys.executable, "-c", code],
                cwd=project,
                env=fleet.environment(PYTHONPATH=str(project), **environment),
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, done.stderr[-3000:]
            return done.stdout

        return run

    return of
