"""Rates from counts: exact where nothing is chance, steady where it is, and quick where it isn't."""

from __future__ import annotations

import random

import pytest
from taskfleet.scaling.erlang import slots_for
from taskfleet.scaling.history import STARTUP_SECONDS, History
from taskfleet.scaling.rates import Counted, Flow, Rates


def fed(rates: Rates, arrivals: list[int], *, run: float = 2.0, start: float = 0.0) -> Rates:
    """Looks ten seconds apart at a queue that keeps up."""
    fetched, at = (rates.counted.fetched, rates.counted.at) if rates.counted else (0, start)
    for count in arrivals:
        at, fetched = at + 10, fetched + count
        rates = rates.after(Counted(at=at, waiting=0, busy=round(count / 10 * run), fetched=fetched))
    return rates


def flow(rates: Rates) -> Flow:
    assert rates.flow is not None
    return rates.flow


def test_a_steady_queue() -> None:
    seen = flow(fed(Rates(), [50] * 60))
    assert (seen.fast, seen.slow, seen.last) == pytest.approx((5.0, 5.0, 5.0))
    assert seen.run_seconds == pytest.approx(2.0)
    assert seen.rate[0] == pytest.approx(5.0)


def test_nothing_is_known_before_some_tasks_have_ended() -> None:
    assert Rates().flow is None
    assert fed(Rates(), [0, 0, 2]).flow is None


def test_a_queue_that_grows_counts_as_arrivals() -> None:
    rates = fed(Rates(), [50] * 30)
    assert rates.counted is not None
    rates = rates.after(
        Counted(at=rates.counted.at + 10, waiting=150, busy=10, fetched=rates.counted.fetched + 50)
    )
    assert flow(rates).last == pytest.approx(20.0)


def test_a_step_is_sure_at_its_first_look_and_the_rate_within_a_minute() -> None:
    before = fed(Rates(), [50] * 60)
    assert flow(fed(before, [250])).at_least > 15
    assert flow(fed(before, [250] * 5)).rate[0] > 15


def test_chance_is_not_a_step() -> None:
    rng = random.Random(1)
    rates, far = fed(Rates(), [50] * 30), 0
    for _ in range(200):
        rates = fed(rates, [sum(rng.random() < 0.05 for _ in range(1000))])
        far += abs(flow(rates).rate[0] - 5.0) > 1.0
    assert far < 10


def test_a_fan_out_is_forgotten() -> None:
    rates = fed(fed(Rates(), [50] * 60), [6000, *[50] * 24])
    assert flow(rates).rate[0] == pytest.approx(5.0, rel=0.15)


def test_a_slow_service_behind_the_tasks_is_seen_within_a_minute() -> None:
    rates = fed(Rates(), [100] * 60, run=1.0)
    assert rates.counted is not None
    at, fetched = rates.counted.at, rates.counted.fetched
    for _ in range(6):
        at, fetched = at + 10, fetched + 50
        rates = rates.after(Counted(at=at, waiting=0, busy=50, fetched=fetched))
    assert flow(rates).run_seconds > 4


def test_counts_that_went_back_begin_anew() -> None:
    assert fed(Rates(), [50] * 30).after(Counted(at=1000, waiting=0, busy=0, fetched=3)).flow is None


@pytest.mark.parametrize(
    ("offered", "run", "slots"), [(0.0, 1.0, 1), (10.0, 1.0, 11), (60.0, 120.0, 70), (500.0, 1.0, 100)]
)
def test_slots_by_erlangs_formula(offered: float, run: float, slots: int) -> None:
    found = slots_for(offered=offered, run_seconds=run, target_seconds=30, late=0.005, most=100)
    assert abs(found - slots) <= 2


def test_fewer_late_needs_more_slots() -> None:
    found = [
        slots_for(offered=40, run_seconds=60, target_seconds=30, late=late, most=500)
        for late in (0.1, 0.01, 0.001)
    ]
    assert found == sorted(set(found))


def test_a_start_is_measured_and_a_change_lasts_for_one_look() -> None:
    history, seen = History(), []
    for at, desired, running in ((0, 1, 1), (10, 3, 1), (20, 3, 2), (40, 3, 3), (50, 3, 3)):
        history = history.after(now=at, counted=None, desired=desired, running=running)
        seen.append(history.changed)
    assert seen == [False, True, False, False, False]
    assert history.startup_seconds == pytest.approx(STARTUP_SECONDS + 0.3 * (30 - STARTUP_SECONDS))


def test_what_is_not_known_is_no_change() -> None:
    history = History().after(now=0, counted=None, desired=2, running=2)
    history = history.after(now=10, counted=None, desired=None, running=None)
    assert (history.changed, history.desired) == (False, 2)
