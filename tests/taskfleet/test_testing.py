"""The fixture for a team's own tests on real brokers: the tutorial's tests, run as a team runs them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.processes import listens, until

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
import sys, time
from pathlib import Path
from taskfleet.testing.servers import Account, Valkey
started = [Valkey(Path("valkey")), Account(Path("account"))]
for server in started:
    server.start()
print(*[server.port for server in started], flush=True)
time.sleep(600)
"""


def test_no_server_outlives_a_session_that_is_killed(tmp_path: Path) -> None:
    session = subprocess.Popen(
        [sys.executable, "-c", STARTS], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        assert session.stdout is not None
        ports = [int(port) for port in session.stdout.readline().split()]
        assert len(ports) == 2
        assert all(map(listens, ports))
    finally:
        session.send_signal(signal.SIGKILL)
        session.wait()
    assert until(lambda: not any(map(listens, ports)), 10)
