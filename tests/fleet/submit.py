"""``python -m tests.fleet.submit``: a producer process of its own, as a web application is.

Each line of standard input is a list of ``{"task": …, "kwargs": …, "count": …, "options": …}``. It publishes
that, and prints a line of its own: for each message its id, the broker that took it, and the seconds that
took. In ``kwargs`` the value "#" becomes the message's number.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from drills.producer import WARM_UP_PUBLISHES
from drills.publish_recorder import PublishRecorder
from drills.tasks.app import app


def main() -> None:
    """Publish everything that is asked for, until nothing is any more."""
    watch = PublishRecorder(app.taskfleet.publisher)
    for number, line in enumerate(sys.stdin):
        orders = json.loads(line)
        if number == 0:
            _warm_up(orders[0].get("options", {}))
        print(json.dumps([sent for order in orders for sent in _publish(order, watch)]), flush=True)


def _publish(order: Mapping[str, Any], watch: PublishRecorder) -> Iterator[dict[str, Any]]:
    for number in range(order.get("count", 1)):
        kwargs = {name: number if value == "#" else value for name, value in order.get("kwargs", {}).items()}
        watch.begin()
        began = time.monotonic()
        result = app.send_task(order["task"], kwargs=kwargs, **order.get("options", {}))
        yield {"id": result.id, "broker": watch.broker, "seconds": time.monotonic() - began}


def _warm_up(options: Mapping[str, Any]) -> None:
    """Importing and connecting on a busy machine is not what a test looks at."""
    for number in range(WARM_UP_PUBLISHES):
        app.send_task("drills.record", kwargs={"run": "warm-up", "n": number}, **options)


if __name__ == "__main__":
    main()
