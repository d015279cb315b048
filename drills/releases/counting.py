"""What became of every task of a drill of releases. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drills.report import Check, Figure

Line = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Tasks, not publishes: a chain of three is three.

    ``sent_to_both`` are the duplicates of publishes of which a task came over both brokers: Redis had taken
    it without saying so in time, and it went to SQS under the same id. ``other_release`` are runs by one that
    was not meant.
    """

    accepted: int
    refused: int
    executed: int
    duplicates: int
    sent_to_both: int
    lost: tuple[tuple[int, int], ...]
    other_release: int

    def figures(self) -> dict[str, Figure]:
        """For a report."""
        return {
            "submitted": self.accepted + self.refused,
            "executed": self.executed,
            "lost": len(self.lost),
            "duplicates": self.duplicates,
            "of_these_over_both_brokers": self.sent_to_both,
            "run_by_another_release": self.other_release,
            "refused": self.refused,
        }

    def checks(self, *, duplicates_allowed: bool = False, refusals_allowed: bool = False) -> list[Check]:
        """What must hold in every drill.

        A broker or a worker that dies may be the cause of a duplicate.
        """
        some = f", for instance {self.lost[:3]}" if self.lost else ""
        found = [
            Check(f"lost 0: {len(self.lost)}{some}", not self.lost),
            Check(f"run by another release 0: {self.other_release}", not self.other_release),
        ]
        if not duplicates_allowed:
            others = self.duplicates - self.sent_to_both
            text = f"duplicates 0, but for {self.sent_to_both} that Redis took without saying so: {others}"
            found.append(Check(text, not others))
        if not refusals_allowed:
            found.append(Check(f"every publish was accepted: {self.refused} were not", not self.refused))
        return found


def wanted(published: Iterable[Line]) -> set[tuple[int, int]]:
    """Every task of every publish that was accepted, by the numbers of both."""
    return {(one["n"], task) for one in published if one["accepted"] for task in range(one["tasks"])}


def count(published: Sequence[Line], did: Sequence[Line]) -> Counted:
    """Lost is what was accepted and never ran. A run's release must be the one that its message was stamped
    with and, where its caller meant one, that one.
    """
    times = Counter((line["n"], line["task"]) for line in did)
    accepted, brokers = wanted(published), defaultdict(set)
    for line in did:
        brokers[line["n"], line["task"]].add(line["broker"])
    # What a task that ran twice has started itself, the next step of a chain for one, runs twice, too.
    of_both = {n for (n, _), each in brokers.items() if len(each) > 1}
    return Counted(
        accepted=len(accepted),
        refused=sum(one["tasks"] for one in published if not one["accepted"]),
        executed=len(times),
        duplicates=times.total() - len(times),
        sent_to_both=sum(times[one] - 1 for one in times if one[0] in of_both),
        lost=tuple(sorted(accepted - times.keys())),
        other_release=sum(line["release"] not in _meant(line) for line in did),
    )


def _meant(line: Line) -> set[str]:
    meant = {line["stamped"]} if line["meant"] is None else {line["stamped"], line["meant"]}
    return meant if len(meant) == 1 else set()  # stamped with one release, and called as another wants it
