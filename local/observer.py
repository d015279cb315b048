"""The Prometheus that `make observe` started: where it is, and its end. `make down` needs it: few imports."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time

from local.pid_file import held
from local.places import Places

# It writes down what it has in memory first.
END_SECONDS = 10.0


def address(places: Places) -> str | None:
    """Its URL; None if it does not run."""
    said = held(places.observer)
    return f"http://127.0.0.1:{json.loads(said)['port']}" if said else None


def end(places: Places) -> bool:
    """End it, if it runs; False if it had to be killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        said = held(places.observer)
        if not said:
            return number == signal.SIGTERM
        with contextlib.suppress(ProcessLookupError):
            os.kill(json.loads(said)["pid"], number)
        deadline = time.monotonic() + END_SECONDS
        while held(places.observer) is not None and time.monotonic() < deadline:
            time.sleep(0.05)
        if held(places.observer) is None:
            return number == signal.SIGTERM
    return False
