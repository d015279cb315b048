"""Workers that ended and nobody had asked them to: counted from the stopped tasks that ECS still shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from taskfleet.contract.metrics import WINDOW_SECONDS

_AT_ONCE = 100  # DescribeTasks
# Of a fleet that crashes by the hundred the newest are enough: ListTasks is limited for the whole account.
_MOST_LISTED = 300
# Task.stopCode, ECS API reference: its own end, or it never began. A Spot interruption, a person's StopTask
# and scaling are orders.
_UNASKED = frozenset({"EssentialContainerExited", "TaskFailedToStart"})


@dataclass(frozen=True)
class Ended:
    """One stopped task. ``why`` is in ECS's words."""

    service: str
    at: float
    unasked: bool
    why: str


@dataclass
class Failures:
    """Asks ECS about each stopped task once, and remembers it while ECS shows it (an hour)."""

    ecs: Any
    _seen: dict[str, Ended] = field(default_factory=dict)

    def look(self, cluster: str, *, now: float) -> Counter[str]:
        """How many of each service failed in `WINDOW_SECONDS` before now. Errors of AWS pass through."""
        pages = self.ecs.get_paginator("list_tasks").paginate(
            cluster=cluster, desiredStatus="STOPPED", PaginationConfig={"MaxItems": _MOST_LISTED}
        )
        listed = [arn for page in pages for arn in page["taskArns"]]
        new = [arn for arn in listed if arn not in self._seen]
        self._seen = {arn: ended for arn, ended in self._seen.items() if arn in set(listed)}
        self._seen |= self._described(cluster, new)
        late = (e for e in self._seen.values() if e.unasked and e.at > now - WINDOW_SECONDS)
        return Counter(ended.service for ended in late)

    def _described(self, cluster: str, arns: list[str]) -> dict[str, Ended]:
        found: list[Mapping[str, Any]] = []
        for start in range(0, len(arns), _AT_ONCE):
            found += self.ecs.describe_tasks(cluster=cluster, tasks=arns[start : start + _AT_ONCE])["tasks"]
        # One that is still stopping has no end yet: it is asked about again.
        return {task["taskArn"]: ended(task) for task in found if task.get("stoppedAt")}


def ended(task: Mapping[str, Any]) -> Ended:
    """A stopped task of DescribeTasks."""
    code, reason = task.get("stopCode"), str(task.get("stoppedReason") or "")
    return Ended(
        service=str(task.get("group", "")).partition(":")[2],
        at=task["stoppedAt"].timestamp(),
        unasked=code in _UNASKED or "health check" in reason,
        why=", ".join(filter(None, (code, reason))),
    )


def of(counts: Mapping[str, int] | None, services: Iterable[str]) -> int | None:
    """How many of these services; None if that is not known."""
    return None if counts is None else sum(counts.get(service, 0) for service in services)
