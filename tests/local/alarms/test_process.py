"""``python -m local.alarms`` itself: what it prints, and what it makes of an account that dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.local.alarms.account import Account
from tests.local.alarms.service import ScaledService
from tests.support.processes import stop, wait_for


def start(account: Account, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "local.alarms"],
            env=os.environ | account.environment,
            stdout=output,
            stderr=output,
        )


def test_it_acts_in_real_time_outlives_the_account_and_ends_on_sigterm(
    own_account: Account, tmp_path: Path
) -> None:
    service = ScaledService(own_account, name="low-live")
    end_of_period = time.time() // 10 * 10
    for back in (5, 15):
        service.gap(1.0, at=end_of_period - back)
    log = tmp_path / "alarms.log"
    process = start(own_account, log)
    try:
        wait_for(lambda: service.desired == 2, seconds=60, what="scaling out")
        assert "alarm low-live-out INSUFFICIENT_DATA → ALARM: Threshold Crossed" in log.read_text()
        assert "service low-live 1 → 2 by policy out-low-live" in log.read_text()

        own_account.kill()
        wait_for(lambda: "does not answer" in log.read_text(), seconds=60, what="noticing")
        own_account.start()
        wait_for(lambda: "answers again" in log.read_text(), seconds=60, what="coming back")
        assert log.read_text().count("does not answer") == 1

        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    finally:
        stop(process)
