"""What a command does when its terminal is closed."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from local.places import REPOSITORY

_COMMAND = """
import time
from local.ending import exit_when_told
exit_when_told()
try:
    print("begun", flush=True)
    time.sleep(30)
finally:
    print("its servers are ended", flush=True)
"""


def _started(*before: str) -> subprocess.Popen[str]:
    started = subprocess.Popen(
        [*before, sys.executable, "-c", _COMMAND],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # the tests may run under nohup
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "begun\n"
    return started


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_it_ends_its_servers(number: signal.Signals) -> None:
    command = _started()

    command.send_signal(number)
    said, _ = command.communicate(timeout=20)

    assert said == "its servers are ended\n"
    assert command.returncode == 128 + number


def test_under_nohup_it_goes_on() -> None:
    command = _started("nohup")

    command.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        command.wait(0.5)
    command.terminate()

    assert command.communicate(timeout=20)[0] == "its servers are ended\n"
