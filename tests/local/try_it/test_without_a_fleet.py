"""``python -m local.try_it`` where there is nothing to try."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.fleet_environment import sourced
from tests.support.ministack import MiniStack
from tests.support.processes import free_port


def try_it(directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local.try_it"],
        env=os.environ | {"TASKFLEET_LOCAL_DIR": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )


def write_env(directory: Path, endpoint: str) -> None:
    variables = {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1", "TASKFLEET_ENVIRONMENT": "local"}
    text = "".join(f"export {name}={value}\n" for name, value in variables.items())
    (directory / "env").write_text(text)


def test_before_up_it_says_to_run_make_up(tmp_path: Path) -> None:
    done = try_it(tmp_path)

    assert done.returncode == 2
    assert "Run `make up` first" in done.stderr


def test_after_down_it_says_that_the_account_does_not_answer(tmp_path: Path) -> None:
    write_env(tmp_path, f"http://localhost:{free_port()}")

    done = try_it(tmp_path)

    assert done.returncode == 2
    assert "does not answer" in done.stderr


def test_before_the_first_release_is_current_it_says_to_wait(tmp_path: Path, aws: MiniStack) -> None:
    write_env(tmp_path, aws.endpoint)

    done = try_it(tmp_path)

    assert done.returncode == 2
    assert "no current release yet" in done.stderr


def test_the_shells_file_is_read_as_a_shell_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("KEPT", "yes")
    (tmp_path / "env").write_text("export B='two words'\nexport C=\"$KEPT\"!\nunset AWS_PROFILE\n")

    variables = sourced(tmp_path / "env")

    assert (variables["B"], variables["C"], variables["KEPT"]) == ("two words", "yes!", "yes")
    assert "AWS_PROFILE" not in variables
