"""What a person sets with `fleet scale`: it holds for a stated time, then the alarms scale again.

Kept in the state table. The controller tells the alarms the gap to what is held, so that they bring a service
there and leave it there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from taskfleet.contract import state as keys

Item = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Hold:
    """So many workers of one ECS service until then, in seconds since the epoch."""

    workers: int
    until: float
    actor: str


@dataclass(frozen=True)
class Holds:
    """All of an environment, by service. ``version`` 0 means that nothing was ever held."""

    by_service: Mapping[str, Hold] = field(default_factory=dict)
    version: int = 0

    def at(self, now: float) -> dict[str, Hold]:
        """Those that hold at that time."""
        return {service: hold for service, hold in self.by_service.items() if hold.until > now}

    def changed(self, service: str, hold: Hold | None, *, now: float) -> Holds:
        """With this one instead of what the service had, and without what has ended."""
        kept = {name: each for name, each in self.at(now).items() if name != service}
        return replace(self, by_service=kept | ({service: hold} if hold else {}), version=self.version + 1)


def gap(hold: Hold | None, desired: int | None, measured: int | None) -> int | None:
    """The capacity gap: what a person holds, or else what was measured."""
    if hold is None:
        return measured
    return None if desired is None else hold.workers - desired


def from_holds(holds: Holds) -> Item:
    """The item of the state table."""
    by_service = {service: asdict(hold) for service, hold in holds.by_service.items()}
    return {keys.KEY: keys.HOLDS, "version": holds.version, "holds": by_service}


def to_holds(item: Item) -> Holds:
    """What `from_holds` wrote."""
    held = {
        service: Hold(workers=int(each["workers"]), until=float(each["until"]), actor=each["actor"])
        for service, each in item["holds"].items()
    }
    return Holds(held, int(item["version"]))
