"""An application whose beat sends far ETAs two seconds ahead, and dies before it deletes them if told to."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import Celery
from taskfleet import install
from taskfleet.beat import etas, scheduler, turn
from taskfleet.etas.store import Etas

from drills.tasks import journal

BEYOND_SECONDS = 6
# A file: while it exists, a broker has the messages and the items are not deleted, as beat is killed then.
DIES = "TASKFLEET_TEST_DIES"
turn.LOOK_SECONDS = scheduler.LOOK_SECONDS = 0.2  # type: ignore[attr-defined]
etas.LEAD_SECONDS, etas.LOOK_SECONDS = 2.0, 0.5  # type: ignore[attr-defined]

app = install(Celery("far", set_as_current=False))
app.conf.task_default_queue = "low"


@app.task(name="far.arrived", bind=True, shared=False)  # type: ignore[untyped-decorator]
def arrived(self: Any, n: int, due: float) -> None:
    """``due`` is in seconds since the epoch."""
    journal.write("arrived", n=n, late=time.time() - due, release=os.environ["TASKFLEET_RELEASE"])


_delete = Etas.delete


def _dying(self: Etas, found: Any) -> None:
    if DIES in os.environ and Path(os.environ[DIES]).exists():
        os.kill(os.getpid(), signal.SIGKILL)
    _delete(self, found)


Etas.delete = _dying  # type: ignore[method-assign]
