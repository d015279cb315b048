"""Each deployed alarm, judged by CloudWatch's rules: it goes off over its threshold and ends below."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from taskfleet.contract.alarm_catalogue import CATALOGUE
from taskfleet.contract.metrics import LOOK_SECONDS

from infra import environments
from local.alarms import definition
from local.alarms.definition import State
from local.alarms.evaluate import evaluate
from local.alarms.functions import Calculation
from tests.infra.synthesis import RELEASE, Synthesis, of_type

STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Maximum": max,
    "Sum": sum,
    "Average": lambda values: sum(values) / len(values),
}
NOW = 1_790_000_040 // 60 * 60
MINUTE = 60 // LOOK_SECONDS  # looks


class Judged:
    """One alarm of `prod`, and the looks that it has seen, ten seconds apart."""

    def __init__(self, blueprint: Synthesis, kind: str) -> None:
        stacks = [blueprint.of("prod", stack) for stack in ("fleet", f"release-{RELEASE}")]
        name = next(
            alarm["AlarmName"]
            for stack in stacks
            for alarm in of_type(stack, "AWS::CloudWatch::Alarm").values()
            if alarm["AlarmName"].startswith(f"taskfleet-prod-{kind}")
        )
        (described,) = (
            alarm
            for stack in stacks
            for alarm in of_type(stack, "AWS::CloudWatch::Alarm").values()
            if alarm["AlarmName"] == name
        )
        self.alarm = definition.read({**described, "AlarmActions": [], "OKActions": []})
        self.state, self._seen = State.OK, dict[str, list[float | None]]()

    def sees(self, *looks: float | None, **more: Sequence[float]) -> State:
        """The state after these values of the metric that it watches, and of others by their name in it.

        None: nothing was published.
        """
        watched = "watched" if self.alarm.expressions else "m1"
        for name, values in {watched: looks, **more}.items():
            self._seen.setdefault(name, []).extend(values)
        period = self.alarm.period // LOOK_SECONDS
        for end in range(period, len(self._seen[watched]) + 1, period):
            self.state = self._at(end)
        return self.state

    def _at(self, end: int) -> State:
        period, now = self.alarm.period, NOW + end * LOOK_SECONDS
        series = {
            name: {
                NOW + start * LOOK_SECONDS: STATISTICS[metric.statistic](values)
                for start in range(0, end, period // LOOK_SECONDS)
                if (values := self._values(name, start, period // LOOK_SECONDS))
            }
            for name, metric in self.alarm.metrics.items()
        }
        times = range(NOW, now, period)
        points = Calculation(metrics=series, expressions=self.alarm.expressions, times=times)
        return evaluate(
            alarm=self.alarm, datapoints=points.series(self.alarm.watches), now=now, previous=self.state
        ).state

    def _values(self, name: str, start: int, looks: int) -> list[float]:
        return [value for value in self._seen[name][start : start + looks] if value is not None]

    def values(self) -> tuple[float, float]:
        """One that is over the threshold, and one that is not."""
        over = next(value for value in self._around() if self.alarm.breaches(value))
        return over, next(value for value in self._around() if not self.alarm.breaches(value))

    def _around(self) -> tuple[float, ...]:
        return (self.alarm.threshold + 1, self.alarm.threshold - 1, self.alarm.threshold)


@pytest.mark.parametrize("kind", CATALOGUE)
def test_an_alarm_goes_off_over_its_threshold_and_ends_below(blueprint: Synthesis, kind: str) -> None:
    judged = Judged(blueprint, kind)
    over, under = judged.values()
    looks = judged.alarm.evaluation_periods * judged.alarm.period // LOOK_SECONDS
    none_in_flight = {"other": [0] * looks} if judged.alarm.expressions else {}

    assert judged.sees(*[under] * looks, **none_in_flight) is State.OK
    assert judged.sees(*[over] * looks, **none_in_flight) is State.ALARM
    assert judged.sees(*[under] * looks, **none_in_flight) is State.OK


def test_a_pool_that_keeps_none_of_its_workers_has_no_worker(blueprint: Synthesis) -> None:
    """As measured on workers that were killed within a second of each start: a look now and then sees one."""
    crashing = [0, 0, 0, 1, 0, 0]
    assert Judged(blueprint, "no-worker").sees(*crashing * 5) is State.ALARM


@pytest.mark.parametrize("seconds", [30, 60, 90, 100])
def test_replacing_the_only_worker_calls_nobody(blueprint: Synthesis, seconds: int) -> None:
    judged, away = Judged(blueprint, "no-worker"), [0] * (seconds // LOOK_SECONDS)
    for offset in range(MINUTE):
        assert judged.sees(*[1] * (MINUTE + offset), *away, *[1] * (6 * MINUTE)) is State.OK


@pytest.mark.parametrize(
    ("sent", "state"),
    [
        ((0, 40, 40, 40, 40), State.ALARM),
        ((1, 0, 1, 0, 1), State.ALARM),
        ((300, 0, 0, 0, 0), State.OK),  # somebody sends dead letters again
        ((0, 0, 0, 200, 100), State.OK),
    ],
)
def test_the_fallback_is_in_use_while_messages_are_sent(
    blueprint: Synthesis, sent: tuple[int, ...], state: State
) -> None:
    each = [value for count in sent for value in (count, *[0] * (MINUTE - 1))]
    assert Judged(blueprint, "fallback-in-use").sees(*each) is state


def test_a_backlog_on_sqs_that_is_worked_off_is_attended_to(blueprint: Synthesis) -> None:
    judged = Judged(blueprint, "fallback-unattended")
    assert judged.sees(*[500] * 6 * MINUTE, other=[4] * 6 * MINUTE) is State.OK
    assert judged.sees(*[500] * 3 * MINUTE, other=[0] * 3 * MINUTE) is State.ALARM


def test_two_minutes_without_a_look_are_silence_and_a_deploy_is_none(blueprint: Synthesis) -> None:
    deployed, gone = Judged(blueprint, "controller-silent"), Judged(blueprint, "controller-silent")
    for offset in range(MINUTE):
        ticks = [1] * (5 * MINUTE + offset)
        assert deployed.sees(*ticks, *[None] * 10, *[1] * 2 * MINUTE) is State.OK
    assert gone.sees(*[1] * 5 * MINUTE, *[None] * 2 * MINUTE) is State.ALARM


def test_old_dead_letters_keep_no_alarm_on_and_new_ones_ring_again(blueprint: Synthesis) -> None:
    most = environments.PROD.alarm_dead_letters
    judged = Judged(blueprint, "dead-letters")
    assert judged.sees(*[most - 1] * MINUTE) is State.OK
    for _ in range(2):
        assert judged.sees(*[most] * MINUTE) is State.ALARM
        assert judged.sees(*[0] * MINUTE) is State.OK


def test_every_statistic_of_an_alarm_is_known_here(blueprint: Synthesis) -> None:
    known: set[Any] = {alarm.statistic for alarm in CATALOGUE.values()}
    assert known == set(STATISTICS)
