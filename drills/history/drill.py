"""`make drill DRILL=history SEEDS=100`: run the seeds, report those that broke a promise."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from drills.history.check import violations
from drills.history.counting import COUNTED, counts
from drills.history.program import Step, program
from drills.history.record import History
from drills.history.rig import Rig
from drills.history.run import Run
from drills.history.shrink import Fails, shortest_prefix
from drills.report import Check, Report

NAME = "history"
FAULT = (
    "seeded random programs of publishes and faults, each checked against the promises; SEEDS=100, FIRST=1"
)
# A failing prefix is looked for on a rig that no earlier program has used.
MOST_SHRUNK = 3


@contextlib.contextmanager
def fresh_rig() -> Iterator[Rig]:
    """A rig in a folder of its own; both are gone afterwards."""
    with TemporaryDirectory(prefix="taskfleet-history-") as place:
        rig = Rig(Path(place))
        try:
            yield rig
        finally:
            rig.close()


def run(seeds: Sequence[int]) -> Report:
    """Run them one after the other; a line for each."""
    histories: list[History] = []
    failed: dict[int, list[str]] = {}
    with fresh_rig() as rig:
        for seed in seeds:
            began = time.monotonic()
            history = Run(rig, seed, program(seed)).history()
            histories.append(history)
            found = violations(history)
            if found:
                failed[seed] = found
            _say(history, found, time.monotonic() - began)
    for seed in list(failed)[:MOST_SHRUNK]:
        _say_shortest(seed)
    return _report(histories, failed)


def _say(history: History, found: Sequence[str], seconds: float) -> None:
    faults = ", ".join(f"{b.fault} {b.target} {b.ended_at - b.began_at:.1f} s" for b in history.broken)
    print(f"seed {history.seed}: {'FAILS' if found else 'holds'}, {seconds:.0f} s; {faults}", flush=True)
    for sentence in found:
        print(f"    {sentence}", flush=True)


def _say_shortest(seed: int) -> None:
    shortest = shortest_prefix(program(seed), _fails(seed))
    if shortest is None:
        print(f"seed {seed} holds when it is run again on fresh servers")
        return
    print(f"seed {seed}: the shortest prefix that still fails has {len(shortest)} steps:")
    for step in shortest:
        print(f"    {step}")


def _fails(seed: int) -> Fails:
    def fails(steps: Sequence[Step]) -> bool:
        with fresh_rig() as rig:
            return bool(violations(Run(rig, seed, steps).history()))

    return fails


def _report(histories: Sequence[History], failed: Mapping[int, Sequence[str]]) -> Report:
    sums = Counter[str]()
    for history in histories:
        sums.update(counts(history))
    held = len(histories) - len(failed)
    these = f": {', '.join(map(str, failed))} did not" if failed else ""
    checks = [
        Check(f"{held} of {len(histories)} seeds held{these}", not failed),
        Check(f"lost 0: {sums['lost']}", sums["lost"] == 0),
    ]
    figures = {"seeds": len(histories), "held": held, **{name: sums[name] for name in COUNTED}}
    return Report(name=NAME, checks=checks, figures=figures)
