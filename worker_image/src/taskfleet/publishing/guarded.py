"""A broker behind its circuit breaker: while it is known to be dead, it costs no publish its time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kombu.exceptions import LimitExceeded

from taskfleet.publishing.breaker import Breaker, State
from taskfleet.publishing.brokers import NOT_ACCEPTED, Primary, may_have_taken
from taskfleet.publishing.probe import Probe


@dataclass(frozen=True)
class Refusal:
    """Why a broker did not accept a message; ``uncertain`` if it may have taken it all the same."""

    why: str
    uncertain: bool = False


BREAKER_OPEN = Refusal("its circuit breaker is open: it did not answer lately")


def refusal(error: BaseException) -> Refusal:
    """From what a broker's ``send`` raised."""
    return Refusal(f"{type(error).__name__}: {error}", may_have_taken(error))


class Guarded:
    """Safe for threads, one per process."""

    def __init__(self, broker: Primary, breaker: Breaker, probe: Probe) -> None:
        self._broker, self._breaker, self._probe = broker, breaker, probe

    def offer(self, body: Any, queue: str, options: dict[str, Any]) -> Refusal | None:
        """None if it was accepted."""
        if not self._breaker.allows():
            return BREAKER_OPEN
        try:
            if not self._broker.send(body, queue, dict(options), self._wanted):
                return BREAKER_OPEN
        except LimitExceeded:
            # This process is busy with itself, which says nothing about the broker.
            return Refusal("all connections of this process were in use")
        except NOT_ACCEPTED as error:
            if self._breaker.failed():
                self._probe.start()
            return refusal(error)
        self._breaker.succeeded()
        return None

    def _wanted(self) -> bool:
        """Whether to go on after a wait for a connection: others may have found the broker dead meanwhile."""
        return self._breaker.state is not State.OPEN
