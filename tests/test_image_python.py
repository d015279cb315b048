"""The image's Python is found where it is, and not taken for another."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from infra.checks import image_python

MINOR = sys.version_info.minor


def program(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_shim_that_starts_nothing_and_another_version_are_passed_over(tmp_path: Path) -> None:
    """pyenv's shims are on the PATH for versions that are not chosen, too."""
    shim = program(tmp_path / "shim", "echo 'pyenv: command not found' >&2; exit 127")
    right = program(tmp_path / "right", f'exec {sys.executable} "$@"')
    absent = str(tmp_path / "absent")

    assert image_python.interpreter(MINOR, [absent, shim, right]) == right
    assert image_python.interpreter(MINOR + 1, [absent, shim, right]) is None


def test_what_is_said_comes_first_then_the_path_then_pyenv_and_uv(tmp_path: Path) -> None:
    pyenv = program(tmp_path / ".pyenv/versions/3.13.0/bin/python3.13", "")
    program(tmp_path / ".pyenv/versions/3.12.0/bin/python3.12", "")
    uv = program(tmp_path / ".local/share/uv/python/cpython-3.13.2-linux-x86_64-gnu/bin/python3.13", "")

    found = list(image_python.candidates(13, {"IMAGE_PYTHON": "/mine", "HOME": str(tmp_path)}))

    assert found == ["/mine", "python3.13", pyenv, uv]


def test_a_machine_without_it_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(image_python, "candidates", lambda minor, environ: ["no-such-python"])

    assert image_python.run(13, []) == 0
    assert "SKIPPED" in capsys.readouterr().err
