"""A history in numbers. Tasks are counted, not publishes: a chain of three is three."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from drills.history.outcomes import ACCEPTED, REFUSED, UNCERTAIN
from drills.history.program import PublishKind
from drills.history.record import History

COUNTED = (
    "submitted",
    "accepted",
    "refused",
    "uncertain",
    "executed",
    "duplicates",
    "lost",
    "parked",
    "faults",
)


def counts(history: History) -> Mapping[str, int]:
    """By the names in `COUNTED`."""
    ends = Counter((run.n, run.task) for run in history.executions if run.ended_at is not None)
    by_outcome: Counter[str] = Counter()
    lost = 0
    for each in history.published:
        tasks = each.publish.tasks
        by_outcome[each.outcome] += tasks
        if each.outcome == ACCEPTED and each.publish.kind is not PublishKind.REVOKED:
            lost += sum((each.publish.number, task) not in ends for task in range(tasks))
    return {
        "submitted": by_outcome.total(),
        "accepted": by_outcome[ACCEPTED],
        "refused": by_outcome[REFUSED],
        "uncertain": by_outcome[UNCERTAIN],
        "executed": len(ends),
        "duplicates": ends.total() - len(ends),
        "lost": lost,
        "parked": len(history.dead_letters),
        "faults": len(history.broken),
    }
