"""The controller on a faster clock: ``python -m drills.history.controller``.

It looks every two seconds instead of every ten, so that releases drain while programs run.
"""

from __future__ import annotations

import threading

from taskfleet import logs
from taskfleet.controller.clients import connect
from taskfleet.controller.controller import Controller
from taskfleet.controller.main import look_until
from taskfleet.settings import ControllerSettings

LOOK_SECONDS = 2.0
READY = "the controller looks"


def main() -> None:
    """Until it is killed."""
    settings = ControllerSettings.from_environ()
    logs.configure(level=settings.log_level)
    print(READY, flush=True)
    look_until(threading.Event(), Controller(connect(settings)), every_seconds=LOOK_SECONDS)


if __name__ == "__main__":
    main()
