"""From what was observed to what stands in the table: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.compat.differences import DIFFERENCES, Difference
from tests.compat.feature import Cell, Feature

SAME, DIFFERENT, NOT_AVAILABLE = "same", "different", "not available"


@dataclass(frozen=True)
class Verdict:
    """What a cell of the table says, or the ``problem`` that makes the run fail."""

    says: str
    problem: str | None = None


def judge(
    feature: Feature,
    cell: Cell,
    stock: Mapping[str, Any],
    fleet: Mapping[str, Any],
    known: Mapping[str, Iterable[Difference]] = DIFFERENCES,
) -> Verdict:
    """One feature in one cell. ``stock`` and ``fleet`` have `observed`, or what was `raised` instead."""
    reason = next((each for each in known.get(feature.id, ()) if each.holds_in(cell)), None)
    if "raised" in stock:
        return Verdict("?", f"on stock it could not be tried: {stock['raised']}")
    if stock["observed"] != feature.expect:
        return Verdict("?", f"by the guide it is {feature.expect!r}, stock Celery has {stock['observed']!r}")
    seen = fleet.get("observed", {"raised": fleet.get("raised")})
    if seen == feature.expect:
        if reason is not None:
            return Verdict(SAME, f"it is the same now; remove its reason: {reason.why}")
        return Verdict(SAME)
    if reason is None:
        return Verdict("?", f"stock Celery has {feature.expect!r}, the fleet {seen!r}, and nobody says why")
    return Verdict(reason.kind)
