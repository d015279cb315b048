"""The simulated fleet: what can be said without chance, and that chance repeats."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from taskfleet.simulation.engine import Fleet, Load, Result, Service
from taskfleet.simulation.ours import Deployed, MetricAlarm, Ours

from local.alarms.definition import Alarm, Metric, Missing, State
from local.alarms.evaluate import evaluate

ONE_SLOT = Service(slots=1, max_workers=4, target_seconds=5)
BURST = Load(at=[10.0 + n / 20 for n in range(3000)], run=[2.0] * 3000, seconds=400)


def fixed(at: list[float], run: list[float], service: Service = ONE_SLOT) -> Result:
    return Fleet(Load(at=at, run=run, seconds=100), service, 1).run()


def test_one_slot_runs_one_after_the_other() -> None:
    result = fixed([0.0, 1.0, 2.0], [4.0, 4.0, 4.0])
    assert (result.started, result.waits, result.late) == (3, [3.0, 6.0], 1)
    assert (result.percentile(1), result.percentile(99), result.left) == (0.0, 3.0, 0)


def test_a_worker_costs_from_its_request_and_fetches_after_its_start() -> None:
    fleet = Fleet(Load(at=[0.0, 0.0], run=[90.0, 1.0], seconds=100), ONE_SLOT, 1)
    fleet.at(0.0, lambda: fleet.set_desired(2))
    result = fleet.run()
    assert 45 <= result.waits[0] <= 75
    assert result.worker_hours == pytest.approx(200 / 3600)


@pytest.mark.parametrize(("protects", "interrupted"), [(False, 1), (True, 0)])
def test_only_a_protected_worker_ends_its_task(protects: bool, interrupted: int) -> None:
    service = replace(ONE_SLOT, protects=protects, min_workers=0)
    fleet = Fleet(Load(at=[0.0], run=[300.0], seconds=400), service, 1)
    fleet.at(1.0, lambda: fleet.set_desired(0))
    fleet.at(200.0, lambda: fleet.set_desired(1))
    result = fleet.run()
    assert (result.interrupted, result.started, result.left) == (interrupted, 1, 0)


def test_the_same_seed_is_the_same_run_and_another_one_is_not() -> None:
    hours = []
    for seed in (1, 1, 2):
        fleet = Fleet(BURST, Service(protects=True), seed)
        Ours(fleet)
        hours.append(fleet.run().worker_hours)
    assert hours[0] == hours[1] != hours[2]


def test_a_burst_gets_workers_gives_them_back_and_interrupts_nothing() -> None:
    fleet = Fleet(replace(BURST, seconds=1200), Service(protects=True), 3)
    Ours(fleet)
    result = fleet.run()
    assert result.workers_most > 8
    assert (fleet.desired, result.interrupted, result.left) == (1, 0, 0)


def test_while_no_metric_arrives_nothing_is_scaled() -> None:
    fleet = Fleet(replace(BURST, lost=(0.0, 150.0)), Service(protects=True), 3)
    Ours(fleet)
    seen: list[int] = []
    fleet.at(150.0, lambda: seen.append(fleet.desired))
    fleet.run()
    assert (seen, fleet.result.workers_most > 1) == ([1], True)


@pytest.mark.parametrize("periods", [1, 2, 6])
def test_the_alarm_is_cloudwatchs(periods: int) -> None:
    """As the account on this machine evaluates it, on random data with gaps."""
    described = Alarm(
        name="a",
        metrics={"m1": Metric(namespace="n", name="m")},
        expressions={},
        watches="m1",
        period=10,
        evaluation_periods=periods,
        datapoints_to_alarm=periods,
        comparison="GreaterThanOrEqualToThreshold",
        threshold=1.0,
        missing=Missing.NOT_BREACHING,
        actions={},
    )
    rng = random.Random(periods)
    ours, points, state = MetricAlarm(breaches=lambda value: value >= 1, periods=periods), {}, State.OK
    states = set()
    for number in range(400):
        value = rng.choice([0.0, 1.0, 2.0, 2.0, 3.0, None])
        ours.period(value)
        if value is not None:
            points[10 * number] = value
        outcome = evaluate(alarm=described, datapoints=points, now=10.0 * (number + 1), previous=state)
        state = outcome.state
        states.add(state)
        assert bool(ours.alarming()) == (state is State.ALARM), number
    assert states == {State.OK, State.ALARM}


def test_an_alarm_that_stays_on_acts_once_a_minute_and_at_once_when_it_was_off() -> None:
    alarm = MetricAlarm(breaches=lambda value: value >= 1, periods=1)
    acted = []
    for number, value in enumerate([1, 1, 1, 1, 1, 1, 1, 0, 1]):
        alarm.period(value)
        if alarm.acts(10.0 * number):
            acted.append(number)
    assert acted == [0, 6, 8]


def test_what_is_deployed_waits_as_the_pools_settings_say() -> None:
    hours = []
    for after in (60, 600):
        fleet = Fleet(replace(BURST, seconds=1800), Service(protects=True), 3)
        Ours(fleet, Deployed(scale_in_after_seconds=after))
        hours.append(fleet.run().worker_hours)
    assert hours[1] > hours[0] * 1.5
