"""`make drill DRILL=history SEEDS=100`: run the seeds, report those that broke a promise."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from drills.history.check import violations
from drills.history.counting import COUNTED, counts
from drills.history.program import Step, program
from drills.history.run import Run
from drills.history.seeds import Done, carry_out, fresh_rig
from drills.history.shrink import Fails, shortest_prefix
from drills.history.stalls import Stalls
from drills.report import Check, Report

NAME = "history"
FAULT = (
    "seeded random programs of publishes and faults, each checked against the promises; "
    "SEEDS=100 FIRST=1 RIGS=3 SHRINK=no"
)
# How many failing seeds a shortest prefix is looked for.
MOST_SHRUNK = 3


def run(seeds: Sequence[int], *, rigs: int = 1, shrink: bool = True) -> Report:
    """Run them, so many side by side; a line for each. ``shrink``: look for the shortest prefixes."""
    done: list[Done] = []
    began = time.monotonic()
    for one in carry_out(seeds, rigs=rigs):
        done.append(one)
        _say(one, _progress(done, len(seeds), time.monotonic() - began))
    failed = {one.seed: one.found for one in done if one.found}
    for seed in list(failed)[: MOST_SHRUNK if shrink else 0]:
        _say_shortest(seed)
    return _report(done, failed)


def _progress(done: Sequence[Done], seeds: int, seconds: float) -> str:
    failed = sum(bool(one.found) for one in done)
    left = seconds / len(done) * (seeds - len(done)) / 60
    return f"[{len(done)}/{seeds}: {len(done) - failed} held, {failed} failed, {left:.0f} min left]"


def _say(one: Done, progress: str) -> None:
    broken = one.history.broken if one.history else ()
    faults = ", ".join(f"{b.fault} {b.target} {b.ended_at - b.began_at:.1f} s" for b in broken)
    stood = sum(stall.ended_at - stall.began_at for stall in (one.history.stalls if one.history else ()))
    still = f"; the machine stood still for {stood:.1f} s" if stood else ""
    verdict = "FAILS" if one.found else "holds"
    print(f"{progress} seed {one.seed}: {verdict}, {one.seconds:.0f} s; {faults}{still}", flush=True)
    for sentence in one.found:
        print(f"    {sentence}", flush=True)
    if one.kept:
        print(f"    its history and logs: {one.kept}", flush=True)


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
        """On a rig that no earlier program has used."""
        with fresh_rig() as rig, contextlib.closing(Stalls()) as stalls:
            return bool(violations(Run(rig, seed, steps, stalls).history()))

    return fails


def _report(done: Sequence[Done], failed: Mapping[int, Sequence[str]]) -> Report:
    histories = [one.history for one in done if one.history]
    sums = Counter[str]()
    for history in histories:
        sums.update(counts(history))
    held = len(done) - len(failed)
    these = f": {', '.join(map(str, failed))} did not" if failed else ""
    checks = [
        Check(f"{held} of {len(done)} seeds held{these}", not failed),
        Check(f"lost 0: {sums['lost']}", sums["lost"] == 0),
    ]
    still = sum(bool(history.stalls) for history in histories)
    seeds = {"seeds": len(done), "held": held, "in_which_the_machine_stood_still": still}
    figures = {**seeds, **{name: sums[name] for name in COUNTED}}
    return Report(name=NAME, checks=checks, figures=figures)
