"""What a machine lacks is said before anything is set up."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "local" / "check_machine.sh"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder that stands for all of PATH: the usual tools, a Python, no Node.js."""
    for tool in ("sh", "sed", "uname", "cat"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    (tmp_path / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "python3").chmod(0o755)
    return tmp_path


def _tool(path: Path, name: str, version: str) -> None:
    (path / name).write_text(f"#!/bin/sh\necho {version}\n")
    (path / name).chmod(0o755)


def _check(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(SCRIPT)], env={"PATH": str(path)}, capture_output=True, text=True, check=False
    )


def test_a_machine_that_has_everything_is_told_which_python_it_is(path: Path) -> None:
    _tool(path, "node", "v20.1.0")
    _tool(path, "npm", "10.0.0")
    done = _check(path)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "python3", "")


def test_all_that_is_missing_is_said_at_once(path: Path) -> None:
    (path / "python3").unlink()
    done = _check(path)
    assert done.returncode == 1
    for what in ("Python 3.11 or later", "Node.js 20 or later", "npm"):
        assert f"missing: {what}" in done.stderr


def test_an_old_node_is_named(path: Path) -> None:
    _tool(path, "node", "v18.19.0")
    _tool(path, "npm", "10.0.0")
    assert "Node.js 20 or later: node is v18.19.0" in _check(path).stderr
