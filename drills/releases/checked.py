"""The application with a check of the team's own, which fails as ``TASKFLEET_DRILL_CHECK`` says."""

from __future__ import annotations

import os
import time

from taskfleet import gate

from drills.releases.app import app

CHECK, RAISES, HANGS = "TASKFLEET_DRILL_CHECK", "raises", "hangs"
TIMEOUT_SECONDS = 4


@app.task(name="releases.check", shared=False)
@gate(timeout_seconds=TIMEOUT_SECONDS)
def check() -> None:
    """Find the database without its migration, or wait for one that does not answer."""
    if os.environ[CHECK] == RAISES:
        raise RuntimeError("the migration is missing")
    time.sleep(3600)
