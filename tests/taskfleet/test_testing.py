"""The fixture for a team's own tests on real brokers: the tutorial's tests, run as a team runs them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.processes import until

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
NAMED = re.compile(r"`([\w.]+)`:\n\n```\w+\n(.*?)```", re.DOTALL)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:ddtrace", "-p", "no:cacheprovider", *arguments]
    environment = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=environment, timeout=400
    )


def test_the_tutorial_works(tmp_path: Path) -> None:
    for name, code in NAMED.findall(PAGE.read_text()):
        (tmp_path / name).write_text(code)
    done = run(tmp_path, "test_on_brokers.py")
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_without_an_application_it_is_said_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(taskfleet):\n    pass\n")
    done = run(tmp_path)
    assert "taskfleet_app = shop:app, in pytest.ini" in done.stdout


STARTS = """
import time
def test_it(taskfleet):
    taskfleet.start_worker()
    processes = [taskfleet.valkey._process, taskfleet.account._process, taskfleet._workers[0][0]]
    with open("pids", "w") as pids:
        print(*[process.pid for process in processes], file=pids, flush=True)
    time.sleep(600)
"""
CHILD = re.compile(r"^PPid:\t(\d+)$", re.MULTILINE)


def test_nothing_outlives_a_session_that_is_killed(tmp_path: Path) -> None:
    """Neither its servers nor its workers, nor the workers' children."""
    (tmp_path / "test_it.py").write_text(STARTS)
    (tmp_path / "shop.py").write_text("from celery import Celery\n\napp = Celery('shop')\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\ntaskfleet_app = shop:app\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:ddtrace", "-p", "no:cacheprovider", "test_it.py"]
    session = subprocess.Popen(command, cwd=tmp_path, env={"PATH": os.environ["PATH"]})
    pids = tmp_path / "pids"
    try:
        assert until(lambda: pids.exists() and pids.read_text().endswith("\n"), 120)
        started = [int(pid) for pid in pids.read_text().split()]
        family = [*started, *(pid for parent in started for pid in children(parent))]
        assert len(family) > len(started) == 3
    finally:
        session.send_signal(signal.SIGKILL)
        session.wait()
    assert until(lambda: not [pid for pid in family if Path(f"/proc/{pid}").exists()], 30)


def children(parent: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            if CHILD.search(status.read_text()).group(1) == str(parent):
                found.append(int(status.parent.name))
    return found
