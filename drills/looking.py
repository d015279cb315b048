"""When SQS is empty again after an outage. The last execution does not say: something may still be there."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from taskfleet.measuring.fallback import Fallback

from drills.beside import Beside
from drills.fleet import Fleet

# An emulated account on a busy machine has other calls to answer.
LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Sample:
    """Whether nothing was waiting, in flight or delayed at a moment."""

    at: float
    empty: bool


class Looking(Beside):
    """Looks at the current release's twins of ``queues``."""

    every_seconds = LOOK_SECONDS

    def __init__(self, fleet: Fleet, queues: Collection[str]) -> None:
        self._sqs = Fallback(fleet.client("sqs"))
        self._twins = [fleet.twin(queue) for queue in queues]
        self.looks: list[Sample] = []

    def wait_until_empty(self, seconds: float) -> None:
        """For ``seconds`` at most."""
        end = time.monotonic() + seconds
        while not (self.looks and self.looks[-1].empty) and time.monotonic() < end:
            time.sleep(LOOK_SECONDS / 2)

    def step(self) -> None:
        """One look."""
        depths = self._sqs.look(self._twins).depths  # without those that are unknown
        empty = len(depths) == len(self._twins) and not any(depth.total for depth in depths.values())
        self.looks.append(Sample(time.time(), empty))


def empty_after(looks: Sequence[Sample], moment: float) -> float | None:
    """Seconds from ``moment`` until it was seen empty and stayed so; None if it was not empty at the end."""
    since = None
    for look in looks:
        since = (look.at if since is None else since) if look.empty else None
    return None if since is None else since - moment
