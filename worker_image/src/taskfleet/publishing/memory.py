"""How long a process may publish to the release that it remembers as current. Pure."""

from __future__ import annotations

import math

from taskfleet.contract.leases import ASKING_SECONDS, STATIC_SECONDS, UNLEASED_SECONDS

# A read that is not answered ends after 1.2 s (`taskfleet.aws.PROMPT`).
AGAIN_SECONDS = 3.0


class Memory:
    """What became of the reads of the pointer, at times of one clock. Safe for threads.

    It holds while it is young, or while this process has a lease that the controller knows. Past that, it
    holds only while nobody answers and the process has gone on asking: one that has not was suspended or
    idle, and releases may have come and gone meanwhile.
    """

    def __init__(self) -> None:
        self.read_at = self._asked_at = self._failed_at = -math.inf
        # Every read since the last that succeeded has failed, and none was long in coming.
        self._asks_in_vain = False

    def succeeded(self, began: float) -> None:
        """The pointer was read. An answer is as old as its question: the process may have stood since."""
        self.read_at = self._asked_at = began
        self._asks_in_vain = False

    def failed(self, began: float, ended: float) -> None:
        """It was not."""
        first = self._asked_at == self.read_at
        stood = began - self._asked_at > ASKING_SECONDS or ended - began > ASKING_SECONDS
        self._asks_in_vain = not stood and (first or self._asks_in_vain)
        self._asked_at, self._failed_at = ended, began

    def just_failed(self, now: float) -> bool:
        """Whether another read, now, would end as the last did."""
        return now - self._failed_at <= AGAIN_SECONDS

    def holds(self, now: float, *, leased_until: float) -> bool:
        """Whether to publish on it."""
        return (
            now <= self.read_at + UNLEASED_SECONDS
            or now <= leased_until
            or (
                self._asks_in_vain
                and now - self._asked_at <= ASKING_SECONDS
                and now - self.read_at <= STATIC_SECONDS
            )
        )
