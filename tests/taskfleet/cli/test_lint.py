"""`fleet lint` says before a deploy what a worker would say at its start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

FLEET = str(Path(sys.executable).with_name("fleet"))
OWN = """
from celery import Celery

app = Celery("own", broker="redis://old")
app.conf.task_serializer = "{serializer}"


@app.task(acks_late=False)
def early():
    pass
"""


def lint(
    place: Path, serializer: str, *options: str, after: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """The command on an application that knows nothing of the fleet, without AWS."""
    (place / "own.py").write_text(OWN.format(serializer=serializer))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [FLEET, *options, "lint", "own:app", *after],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_refused_ignored_and_not_protected_is_listed(tmp_path: Path) -> None:
    done = lint(tmp_path, "pickle")

    assert done.returncode == 1, done.stderr
    assert "refused        task_serializer = 'pickle': allowed is json" in done.stdout
    assert "no effect      broker_url: the fleet's own brokers instead" in done.stdout
    assert "not protected  own.early: acks_late=False: it is lost with its worker" in done.stdout


def test_what_may_be_meant_is_no_failure(tmp_path: Path) -> None:
    done = lint(tmp_path, "json", "--json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "refused": [],
        "without_effect": {"broker_url": "the fleet's own brokers"},
        "not_protected": [{"task": "own.early", "reason": "acks_late=False: it is lost with its worker"}],
        "findings": [],
    }


def test_a_build_is_compared_with_what_was_saved_of_another(tmp_path: Path) -> None:
    saved = tmp_path / "signatures.json"
    assert lint(tmp_path, "json", after=("--save", str(saved))).returncode == 0
    assert json.loads(saved.read_text())["own.early"] == []
    assert lint(tmp_path, "json", after=("--against", str(saved))).returncode == 0

    saved.write_text(json.dumps({"own.early": [["color", "positional_or_keyword", True]], "own.gone": []}))
    done = lint(tmp_path, "json", after=("--against", str(saved)))
    assert done.returncode == 1
    assert "breaks         own.early, parameter 'color': it is gone, and a call may pass it" in done.stdout
    assert "breaks         own.gone: the task is gone" in done.stdout

    saved.write_text("{")
    done = lint(tmp_path, "json", after=("--against", str(saved)))
    assert done.returncode == 1
    assert "is no file of `fleet lint --save`" in done.stderr
