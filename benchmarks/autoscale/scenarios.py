"""Eleven loads; every figure of them stands here.

One pool of 1 to 40 workers of 4 slots, start-up 45 to 75 s, target 30 s, unless a scenario says otherwise.
Each begins with the workers that its first load needs.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from taskfleet.simulation.engine import Load, Service

HOUR, MINUTE = 3600.0, 60.0
Rate = Callable[[float], float]
Run = Callable[[random.Random], float]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """``mean_run_seconds`` is what a team would have told a peer that must be given a service time."""

    name: str
    what: str
    load: Callable[[random.Random], Load]
    service: Service = field(default_factory=Service)
    mean_run_seconds: float


def lognormal(mean: float, sigma: float = 0.5) -> Run:
    """Run times with this mean."""
    mu = math.log(mean) - sigma * sigma / 2
    return lambda rng: rng.lognormvariate(mu, sigma)


def poisson(rng: random.Random, rate: Rate, most: float, seconds: float) -> Iterator[float]:
    """Arrivals of a rate that changes, thinned from its most."""
    now = 0.0
    while True:
        now += rng.expovariate(most)
        if now >= seconds:
            return
        if rng.random() * most < rate(now):
            yield now


def made(
    rate: Rate, most: float, seconds: float, run: Run, *, each: int = 1, **more: object
) -> Callable[[random.Random], Load]:
    """A load of Poisson arrivals; ``each`` tasks arrive together and run in turn in one slot."""

    def load(rng: random.Random) -> Load:
        at = list(poisson(rng, lambda now: rate(now) / each, most / each, seconds))
        times = [sum(run(rng) for _ in range(each)) for _ in at]
        return Load(at=at, run=times, seconds=seconds, tasks_each=each, **more)  # type: ignore[arg-type]

    return load


def _fan_out(rng: random.Random) -> Load:
    base, many = lognormal(1.0), lognormal(5.0)
    quiet = [(at, base(rng)) for at in poisson(rng, lambda _: 2.0, 2.0, 1.5 * HOUR)]
    burst = [(20 * MINUTE, many(rng)) for _ in range(6000)]
    tasks = sorted(quiet + burst)
    return Load(at=[at for at, _ in tasks], run=[run for _, run in tasks], seconds=1.5 * HOUR)


def _wave(low: float, high: float, period: float) -> Rate:
    return lambda now: low + (high - low) * (1 - math.cos(2 * math.pi * now / period)) / 2


def _step(before: float, after: float, at: float) -> Rate:
    return lambda now: after if now >= at else before


SCENARIOS = (
    Scenario(
        name="diurnal",
        what="2 to 20 a second and back within three hours, 1 s each",
        load=made(_wave(2, 20, 3 * HOUR), 20, 3 * HOUR, lognormal(1.0)),
        mean_run_seconds=1.0,
    ),
    Scenario(
        name="step",
        what="4 a second, five times as many after half an hour, 2 s each",
        load=made(_step(4, 20, 0.5 * HOUR), 20, 2 * HOUR, lognormal(2.0)),
        service=Service(first_workers=3),
        mean_run_seconds=2.0,
    ),
    Scenario(
        name="fan-out",
        what="6,000 at once, 5 s each, beside 2 a second of 1 s",
        load=_fan_out,
        mean_run_seconds=3.0,
    ),
    Scenario(
        name="long",
        what="tasks of 120 s, 0.25 to 0.75 a second and back within three hours",
        load=made(_wave(0.25, 0.75, 3 * HOUR), 0.75, 3 * HOUR, lognormal(120.0, 0.3)),
        service=Service(first_workers=10),
        mean_run_seconds=120.0,
    ),
    Scenario(
        name="heavy tail",
        what="5 a second, 3 s in the mean, one in 1,400 above two minutes",
        load=made(lambda _: 5.0, 5.0, 3 * HOUR, lognormal(3.0, 1.5)),
        service=Service(first_workers=5),
        mean_run_seconds=3.0,
    ),
    Scenario(
        name="bursts",
        what="40 a second for ten minutes, 2 a second for ten, and again, 1 s each",
        load=made(lambda now: 40.0 if now % 1200 >= 600 else 2.0, 40, 3 * HOUR, lognormal(1.0)),
        mean_run_seconds=1.0,
    ),
    Scenario(
        name="slow downstream",
        what="10 a second of 1 s, which take 6 s for a quarter of an hour",
        load=made(lambda _: 10.0, 10, 2 * HOUR, lognormal(1.0), slow=(45 * MINUTE, 60 * MINUTE, 6.0)),
        service=Service(first_workers=4),
        mean_run_seconds=1.0,
    ),
    Scenario(
        name="deploy",
        what="15 a second of 2 s, every worker replaced after an hour",
        load=made(lambda _: 15.0, 15, 2 * HOUR, lognormal(2.0), deploy_at=1 * HOUR),
        service=Service(first_workers=9),
        mean_run_seconds=2.0,
    ),
    Scenario(
        name="metrics lost",
        what="diurnal within two hours, no metric for five minutes of its rise",
        load=made(_wave(2, 20, 2 * HOUR), 20, 2 * HOUR, lognormal(1.0), lost=(25 * MINUTE, 30 * MINUTE)),
        mean_run_seconds=1.0,
    ),
    Scenario(
        name="a million a day",
        what="six hours, from 11.6 a second at 6 o'clock to 19.6 at noon, 1.5 s each; in pairs",
        load=made(
            lambda now: _wave(3.5, 19.6, 24 * HOUR)(now + 6 * HOUR), 19.6, 6 * HOUR, lognormal(1.5), each=2
        ),
        service=Service(first_workers=5),
        mean_run_seconds=1.5,
    ),
    Scenario(
        name="a hundred million a day",
        what="an hour of 600 to 1,700 a second, 0.2 s each; in fifties, up to 200 workers",
        load=made(_wave(600, 1700, HOUR), 1700, HOUR, lognormal(0.2), each=50),
        service=Service(max_workers=200, first_workers=36),
        mean_run_seconds=0.2,
    ),
)
