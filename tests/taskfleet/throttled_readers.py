"""Many producers in one process, each with what it knows: ``… READERS SECONDS``; prints a report as JSON.

Each reads the pointer and its release's queues once a second, as a publish does, with the real clients.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

from taskfleet import deadline
from taskfleet.contract.environment import ENVIRONMENT
from taskfleet.errors import TaskfleetError
from taskfleet.publishing.pointer import Releases

# They don't start in one moment, as the processes of a web application don't.
START_WITHIN_SECONDS = 4.0
PUBLISH_SECONDS = 3.0


class Reader(threading.Thread):
    """One producer's reads, a second apart. ``seen``: the release of each, or the error."""

    def __init__(self, after: float, until: float) -> None:
        super().__init__(daemon=True)
        self._after, self._until = after, until
        self.seen: list[str] = []
        self.slowest = 0.0

    def run(self) -> None:
        """Until the end."""
        releases = Releases(os.environ[ENVIRONMENT.name])
        time.sleep(self._after)
        while time.monotonic() < self._until:
            began = time.monotonic()
            try:
                with deadline.within(PUBLISH_SECONDS):
                    release = releases.current()
                    assert releases.queues(release)
                self.seen.append(release)
            except TaskfleetError as error:
                self.seen.append(f"{type(error).__name__}: {error}")
            took = time.monotonic() - began
            self.slowest = max(self.slowest, took)
            time.sleep(max(0.0, 1 - took))


def main(readers: int, seconds: float) -> None:
    """Run them."""
    until = time.monotonic() + seconds
    made = [Reader(START_WITHIN_SECONDS * number / readers, until) for number in range(readers)]
    for one in made:
        one.start()
    for one in made:
        one.join()
    print(json.dumps({"seen": [one.seen for one in made], "slowest": max(one.slowest for one in made)}))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
