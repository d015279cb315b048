"""Simulated canaries: how many good releases are rejected, and how many bad ones are caught, and how soon.

Each is judged by the controller's own plan, at a look every ten seconds, on runs drawn at random. Blue
and green have the same tasks; of a bad release the fault alone differs. ``SEEDS=…``: canaries of each.
"""

from __future__ import annotations

import math
import os
import random
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import accumulate

from taskfleet.contract.manifest import Canary, ReleaseManifest
from taskfleet.contract.parameters import NO_RELEASE
from taskfleet.contract.split import Split
from taskfleet.releases.actions import EndCanary
from taskfleet.releases.canary import canary
from taskfleet.releases.comparing import FALSE_ALARMS, Runs, compare
from taskfleet.releases.model import Pointer, Published, Record, State
from taskfleet.releases.observation import Observation, Rules

from drills.report import Check, Figure, Report

GOOD, BAD = int(os.environ.get("SEEDS", "1000")), int(os.environ.get("SEEDS", "200"))
WANTED = Canary(share=0.05, seconds=600, runs=50)
RULES = Rules()
# Name: part of all runs, of them bad, median run time in seconds. Run times are lognormal.
TASKS = {
    "mail": (0.50, 0.010, 0.2),
    "thumbnail": (0.25, 0.002, 1.5),
    "payment": (0.12, 0.030, 0.8),
    "search": (0.08, 0.000, 0.05),
    "report": (0.04, 0.050, 20.0),
    "export": (0.01, 0.100, 60.0),
}
SPREAD = 0.8
BUCKETS = range(120)


@dataclass(frozen=True, kw_only=True)
class World:
    """``per_second`` runs, in workflows of ``together`` that are bad together or not; and green's fault."""

    per_second: float = 20.0
    together: int = 1
    times_bad: float = 1.0
    more_bad: float = 0.0
    slower: float = 1.0
    scale: float = 1.0  # of all run times, of both
    breaks: str = ""  # a task that always fails


@dataclass(frozen=True)
class Ends:
    """How canaries of one world ended, and after how many seconds the rejected ones."""

    passed: int = 0
    rejected: list[float] = field(default_factory=list)

    @property
    def share(self) -> float:
        return len(self.rejected) / max(1, len(self.rejected) + self.passed)


@dataclass
class _Task:
    """Draws runs of a task in a release."""

    chance: random.Random
    bad: float
    weights: list[float]
    together: int
    runs: int = 0
    failed: int = 0
    times: Counter[int] = field(default_factory=Counter)
    minutes: dict[int, tuple[int, int]] = field(default_factory=dict)

    def draw(self, expected: float, minute: int) -> None:
        many = _poisson(self.chance, expected / self.together)
        failed = sum(self.chance.random() < self.bad for _ in range(many))
        self.runs += many * self.together
        self.failed += failed * self.together
        runs, bad = self.minutes.get(minute, (0, 0))
        self.minutes[minute] = runs + many * self.together, bad + failed * self.together
        self.times.update(self.chance.choices(BUCKETS, cum_weights=self.weights, k=many * self.together))

    def seen(self) -> Runs:
        return Runs(self.runs, self.failed, self.times, tuple(self.minutes.values()))


def _poisson(chance: random.Random, mean: float) -> int:
    if mean > 50:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    many, product, least = 0, chance.random(), math.exp(-mean)
    while product > least:
        many += 1
        product *= chance.random()
    return many


def _weights(median: float) -> list[float]:
    """Of the buckets of a histogram, four for each doubling from a millisecond on."""

    def below(bucket: int) -> float:
        seconds = 0.001 * 2 ** (bucket / 4)
        return 0.5 * math.erfc(-math.log(seconds / median) / (SPREAD * math.sqrt(2)))

    return list(accumulate(below(bucket) - (below(bucket - 1) if bucket else 0.0) for bucket in BUCKETS))


def _releases(world: World, chance: random.Random) -> tuple[dict[str, _Task], dict[str, _Task]]:
    blue, green = {}, {}
    for name, (_, bad, median) in TASKS.items():
        blue[name] = _Task(chance, bad, _weights(median * world.scale), world.together)
        worse = 1.0 if world.breaks == name else min(1.0, bad * world.times_bad + world.more_bad)
        green[name] = _Task(chance, worse, _weights(median * world.scale * world.slower), world.together)
    return blue, green


def _record() -> Record:
    manifest = ReleaseManifest("green", "image", (), 60, canary=WANTED)
    return Record(release="green", image="image", manifest=manifest, state=State.CANARY, since=0.0)


def one(world: World, seed: int) -> tuple[bool, float]:
    """Whether a release is rejected, and when."""
    chance, record = random.Random(seed), _record()  # noqa: S311 - a simulation
    blue, green = _releases(world, chance)
    looks = _looks(record)
    for seen in looks:
        for release, share in ((blue, 1 - WANTED.share), (green, WANTED.share)):
            for name, (part, _, _) in TASKS.items():
                expected = world.per_second * RULES.look_seconds * part * share
                release[name].draw(expected, int(seen.now // 60))
        found = [{("low", name): task.seen() for name, task in each.items()} for each in (green, blue)]
        judged = replace(seen, comparisons={"green": compare(*found)})
        for action in canary(record, judged, RULES, None):
            return isinstance(action, EndCanary), seen.now
    raise AssertionError("a canary ends")


def _looks(record: Record) -> Iterator[Observation]:
    pointer = Pointer("blue", 2, split=Split("green", "blue", WANTED.share))
    for number in range(1, 1000):
        yield Observation(
            now=number * RULES.look_seconds,
            records={"green": record},
            manifests={"green": record.manifest},
            pointer=pointer,
            published=Published(NO_RELEASE),
            proofs={},
            running=None,
            left={},
            deployments=None,
        )


def many(world: World, canaries: int) -> Ends:
    """Judge so many."""
    found = [one(world, seed) for seed in range(canaries)]
    return Ends(sum(not rejected for rejected, _ in found), [at for rejected, at in found if rejected])


WORLDS = {
    "equal": World(),
    "equal, two runs a second": World(per_second=2),
    "equal, workflows of five": World(together=5),
    "fails twice as often": World(times_bad=2),
    "fails twice as often, 100 runs a second": World(per_second=100, times_bad=2),
    "fails 5 points more often": World(more_bad=0.05),
    "fails 5 percent more often": World(times_bad=1.05),
    "takes 1.5 times as long": World(slower=1.5),
    "takes 1.1 times as long": World(slower=1.1),
    "takes 1.5 times as long, tasks of milliseconds": World(scale=0.001, slower=1.5),
    "takes ten times as long, tasks of milliseconds": World(scale=0.001, slower=10),
    "one task of twelve always fails": World(breaks="search"),
    "every task fails": World(more_bad=1.0),
    "fails 5 points more often, two runs a second": World(per_second=2, more_bad=0.05),
    "takes 1.5 times as long, two runs a second": World(per_second=2, slower=1.5),
}


def run() -> Report:
    """All worlds."""
    figures: dict[str, Figure] = {}
    ends = {}
    for name, world in WORLDS.items():
        canaries = GOOD if name.startswith("equal") else BAD
        ends[name] = found = many(world, canaries)
        figures[name] = f"{len(found.rejected)} of {canaries} rejected{_soon(found)}"
    rejected = {name: len(each.rejected) for name, each in ends.items() if name.startswith("equal")}
    checks = [
        Check(
            f"{count} of {GOOD} canaries rejected: {name}; {FALSE_ALARMS:g} are to be",
            # What is drawn scatters: of a thousand, three are seen with one expected in one of fifty benches.
            count <= max(3, 3 * FALSE_ALARMS * GOOD),
        )
        for name, count in rejected.items()
    ]
    for name, least in (
        ("fails 5 points more often", 0.9),
        ("fails twice as often, 100 runs a second", 0.5),
        ("takes 1.5 times as long", 0.9),
        ("takes ten times as long, tasks of milliseconds", 0.9),
        ("one task of twelve always fails", 0.99),
        ("every task fails", 1.0),
    ):
        checks.append(Check(f"{ends[name].share:.0%} are caught: {name}", ends[name].share >= least))
    name = "takes 1.5 times as long, tasks of milliseconds"
    checks.append(Check(f"{ends[name].share:.0%} are rejected: {name}", ends[name].share <= 0.01))
    return Report(name="canary", checks=checks, figures=figures)


def _soon(found: Ends) -> str:
    return f", half of them within {statistics.median(found.rejected):.0f} s" if found.rejected else ""
