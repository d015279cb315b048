"""All scenarios, all policies, many seeds: means with their confidence, and who is ahead of whom."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from benchmarks.autoscale.peers import SHIPPED, TUNED, Peer
from benchmarks.autoscale.runs import Outcome, load_of, run
from benchmarks.autoscale.scenarios import SCENARIOS, Scenario

OURS = "Taskfleet"
POLICIES: Mapping[str, Peer | None] = {
    OURS: None,
    **SHIPPED,
    **{f"{name}, tuned": peer for name, peer in TUNED.items()},
}
# Student's t for 95 %, two-sided, by the number of seeds; from thirty on it is close to that of thirty.
STUDENT_95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 8: 2.36, 10: 2.26, 15: 2.14, 20: 2.09, 30: 2.05}


@dataclass(frozen=True)
class Mean:
    """A mean and half of its 95 % confidence interval."""

    value: float
    within: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean:
        """Of independent seeds."""
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        student = next((t for count, t in reversed(STUDENT_95.items()) if count <= len(values)), 0.0)
        return cls(statistics.fmean(values), student * spread / math.sqrt(len(values)))


Row = Mapping[str, Mean]


def measured(seeds: Iterable[int], scenarios: Iterable[Scenario] = SCENARIOS) -> dict[str, dict[str, Row]]:
    """By scenario and policy; each policy gets the same loads."""
    chosen, found = list(seeds), {}
    for scenario in scenarios:
        outcomes: dict[str, list[Outcome]] = {name: [] for name in POLICIES}
        for seed in chosen:
            load = load_of(scenario, seed)
            for name, policy in POLICIES.items():
                outcomes[name].append(run(scenario, load, policy, seed))
        found[scenario.name] = {name: _row(of) for name, of in outcomes.items()}
    return found


def _row(outcomes: Sequence[Outcome]) -> Row:
    figures = [*(field.name for field in fields(Outcome)), "dollars"]
    return {figure: Mean.of([getattr(each, figure) for each in outcomes]) for figure in figures}


def better(one: Mean, other: Mean) -> bool:
    """Less, and not by chance."""
    return other.value - one.value > math.hypot(one.within, other.within)


def dominated_by(row: Row, other: Row) -> bool:
    """Whether the other is better in worker-hours or lateness and worse in neither (by more than chance)."""
    late, hours = "late_percent", "worker_hours"
    ahead = better(other[late], row[late]) or better(other[hours], row[hours])
    behind = better(row[late], other[late]) or better(row[hours], other[hours])
    return ahead and not behind


@dataclass(frozen=True)
class Comparison:
    """``build/bench/autoscale.json`` and the table; `benchmarks.__main__` treats it as a report."""

    seeds: int
    rows: Mapping[str, Mapping[str, Row]]

    def beaten(self) -> dict[str, list[str]]:
        """By scenario: policies that are better than ours in one of the two and worse in neither."""
        return {
            scenario: [name for name, row in rows.items() if name != OURS and dominated_by(rows[OURS], row)]
            for scenario, rows in self.rows.items()
        }

    def beats(self) -> dict[str, list[str]]:
        """By scenario: policies than which ours is better in one of the two and worse in neither."""
        return {
            scenario: [name for name, row in rows.items() if name != OURS and dominated_by(row, rows[OURS])]
            for scenario, rows in self.rows.items()
        }

    @property
    def holds(self) -> bool:
        """Nobody is better in a scenario, and no task of ours was interrupted."""
        interrupted = sum(rows[OURS]["interrupted"].value for rows in self.rows.values())
        return interrupted == 0 and not any(self.beaten().values())

    def table(self) -> str:
        """For people, as Markdown."""
        beaten, beats = self.beaten(), self.beats()
        lines = []
        for scenario in self.rows:
            lines += [
                f"**{scenario}**: ahead of {len(beats[scenario])} of {len(POLICIES) - 1}"
                + (f", behind {', '.join(beaten[scenario])}" if beaten[scenario] else ""),
                "",
                "| policy | late % | p50 s | p95 s | p99 s | worker-hours | $ | turns | interrupted |",
                "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
                *(self._line(name, row) for name, row in self.rows[scenario].items()),
                "",
            ]
        return "\n".join(lines)

    @staticmethod
    def _line(name: str, row: Row) -> str:
        late, hours = row["late_percent"], row["worker_hours"]
        cells = [
            name,
            f"{late.value:.2f} ± {late.within:.2f}",
            *(f"{row[f'wait_p{p}'].value:.1f}" for p in (50, 95, 99)),
            f"{hours.value:.1f} ± {hours.within:.1f}",
            f"{row['dollars'].value:.2f}",
            f"{row['direction_changes'].value:.0f}",
            f"{row['interrupted'].value:.1f}",
        ]
        return f"| {' | '.join(cells)} |"

    def write(self, directory: Path) -> Path:
        """Keep it as JSON; returns where."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "autoscale.json"
        rows = {
            scenario: {name: {key: asdict(mean) for key, mean in row.items()} for name, row in of.items()}
            for scenario, of in self.rows.items()
        }
        content = {"seeds": self.seeds, "holds": self.holds, "beaten": self.beaten(), "scenarios": rows}
        path.write_text(json.dumps(content, indent=1) + "\n")
        return path
