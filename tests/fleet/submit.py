"""``python -m tests.fleet.submit``: a producer process of its own, as a web application is.

Reads a list of ``{"task": …, "kwargs": …, "count": …, "options": …}`` from standard input, publishes it, and
prints for each message its id, the broker that took it, and the seconds that took. In ``kwargs`` the
value "#" becomes the message's number.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import Any

from drills.producer import WARM_UP_PUBLISHES
from drills.tasks.app import app
from drills.watch import Watch


def main() -> None:
    """Publish everything that was asked for."""
    orders, sent = json.load(sys.stdin), []
    watch = Watch(app.taskfleet.publisher)
    _warm_up(orders[0].get("options", {}))
    for order in orders:
        for number in range(order.get("count", 1)):
            kwargs = {
                name: number if value == "#" else value for name, value in order.get("kwargs", {}).items()
            }
            watch.begin()
            began = time.monotonic()
            result = app.send_task(order["task"], kwargs=kwargs, **order.get("options", {}))
            sent.append({"id": result.id, "broker": watch.broker, "seconds": time.monotonic() - began})
    json.dump(sent, sys.stdout)


def _warm_up(options: Mapping[str, Any]) -> None:
    """Importing and connecting on a busy machine is not what a test looks at."""
    for number in range(WARM_UP_PUBLISHES):
        app.send_task("drills.record", kwargs={"run": "warm-up", "n": number}, **options)


if __name__ == "__main__":
    main()
