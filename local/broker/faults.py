"""What the front can do to its connections on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """One way to fail. `PASS` heals all the others."""

    PASS = "pass"  # noqa: S105 - not a password: let everything through
    CUT = "cut"  # reset every connection, once; new ones are served
    REFUSE = "refuse"  # listen no more: new connections are refused. Existing ones go on
    DELAY = "delay"  # everything arrives `seconds` later, in both directions
    BLACKHOLE = "blackhole"  # nothing gets through and nothing is reset, until healed; then it all arrives
    MOVE = "move"  # new connections lead to the server at `port`, as an endpoint after a failover
    HALF_OPEN = "half-open"  # the peers of today's connections are gone without a word; new ones are served


@dataclass(frozen=True, kw_only=True)
class Command:
    """What the control socket takes, as one line of JSON: ``{"fault": "delay", "seconds": 0.2}``."""

    fault: Fault
    seconds: float = 0.0
    port: int = 0

    @classmethod
    def parse(cls, data: dict[str, object]) -> Command:
        """Raises ``ValueError`` with what is allowed."""
        try:
            fault = Fault(str(data.get("fault")))
        except ValueError:
            allowed = ", ".join(Fault)
            raise ValueError(f"fault {data.get('fault')!r} is not known: one of {allowed}") from None
        seconds = data.get("seconds", 0.0)
        if not isinstance(seconds, int | float) or not 0 <= seconds <= 3600:
            raise ValueError(f"seconds must be a number from 0 to 3600, not {seconds!r}")
        port = data.get("port", 0)
        if not isinstance(port, int) or (fault is Fault.MOVE) != (0 < port < 65536):
            raise ValueError(f"`move` and nothing else takes a port from 1 to 65535, not {port!r}")
        return cls(fault=fault, seconds=float(seconds), port=port)
