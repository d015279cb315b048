"""Ctrl-C in the middle of `make up`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from local.places import REPOSITORY
from tests.fleet.conftest import processes_of
from tests.fleet.deployed import Deployed, wait_until


def test_an_interrupted_up_leaves_nothing_running(tmp_path: Path) -> None:
    deployed = Deployed(tmp_path / "fleet")
    up = subprocess.Popen(
        [sys.executable, "-m", "local", "up"],
        cwd=REPOSITORY,
        env=deployed.environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    log = deployed.places.logs / "cdk.log"
    wait_until(lambda: log.exists() and "CREATE_IN_PROGRESS" in log.read_text(), 120, "it deploys")
    assert len(processes_of(deployed)) > 3

    os.killpg(up.pid, signal.SIGINT)  # as a terminal does: to everything in the foreground
    said, _ = up.communicate(timeout=60)

    assert up.returncode == 130
    assert "Interrupted: cleaning up" in said
    wait_until(lambda: processes_of(deployed) == [], 30, "every process is gone")
