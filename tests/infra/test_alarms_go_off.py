"""Each deployed alarm, judged by CloudWatch's rules: over its threshold, below, and while all is deployed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Any

import pytest
from taskfleet.beat.scheduler import SAY_ALIVE_EVERY_SECONDS
from taskfleet.contract import names
from taskfleet.contract.alarm_catalogue import CATALOGUE, SILENT_MINUTES
from taskfleet.contract.limits import REPLACED_WITHIN_SECONDS
from taskfleet.contract.metrics import LOOK_SECONDS, METRICS

from local.alarms import definition
from local.alarms.definition import State
from local.alarms.evaluate import evaluate
from local.alarms.functions import Calculation
from tests.infra.synthesis import RELEASE, Synthesis, of_type
from tests.support import reference as environments

STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Maximum": max,
    "Sum": sum,
    "Average": lambda values: sum(values) / len(values),
    "p95": lambda values: sorted(values)[ceil(0.95 * len(values)) - 1],
}
NOW = 1_790_000_040 // 60 * 60
MINUTE = 60 // LOOK_SECONDS  # looks


class Judged:
    """One alarm of `prod` (of `local` for results, which have a cache there), and the looks that it has seen,
    ten seconds apart.
    """

    def __init__(self, blueprint: Synthesis, kind: str) -> None:
        environment = "local" if kind.startswith("results-") else "prod"
        stacks = [blueprint.of(environment, stack) for stack in ("fleet", f"release-{RELEASE}")]
        name = next(
            alarm["AlarmName"]
            for stack in stacks
            for alarm in of_type(stack, "AWS::CloudWatch::Alarm").values()
            if alarm["AlarmName"].startswith(f"taskfleet-{environment}-{kind}")
        )
        (described,) = (
            alarm
            for stack in stacks
            for alarm in of_type(stack, "AWS::CloudWatch::Alarm").values()
            if alarm["AlarmName"] == name
        )
        self.alarm = definition.read({**described, "AlarmActions": [], "OKActions": []})
        self.state, self.rang, self._seen = State.OK, False, dict[str, list[float | None]]()

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
            # The newest value may come late: it must not go off for that.
            late = self._at(end, without=period) if end > 5 * MINUTE else self.state
            self.rang |= State.ALARM in (self.state, late)
        return self.state

    def _at(self, end: int, *, without: int = 0) -> State:
        period, now = self.alarm.period, NOW + end * LOOK_SECONDS
        series = {
            name: {
                NOW + start * LOOK_SECONDS: STATISTICS[metric.statistic](values)
                for start in range(0, end - without, period // LOOK_SECONDS)
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


def test_minutes_without_a_look_are_silence(blueprint: Synthesis) -> None:
    gone = Judged(blueprint, "controller-silent")
    assert gone.sees(*[1] * 5 * MINUTE, *[None] * SILENT_MINUTES * MINUTE) is State.ALARM


def away_seconds(template: Mapping[str, Any]) -> dict[str, int]:
    """How long an update of each service leaves it without a task: 0 where the new one starts before."""
    tasks, found = of_type(template, "AWS::ECS::TaskDefinition"), {}
    for service in of_type(template, "AWS::ECS::Service").values():
        (container,) = tasks[service["TaskDefinition"]["Ref"]]["ContainerDefinitions"]
        overlaps = service["DeploymentConfiguration"]["MinimumHealthyPercent"] >= 100
        found[service["ServiceName"]] = 0 if overlaps else container["StopTimeout"] + REPLACED_WITHIN_SECONDS
    return found


MEASURED_BY_US = [one.name for one in CATALOGUE.values() if one.for_a_person and one.metric in METRICS]


@pytest.mark.parametrize("kind", MEASURED_BY_US)
def test_a_deploy_of_everything_pages_nobody(blueprint: Synthesis, kind: str) -> None:
    """Controller, beat and workers are replaced at once, each in the longest time that it may take."""
    fleet, release = (blueprint.of("prod", stack) for stack in ("fleet", f"release-{RELEASE}"))
    controller = away_seconds(fleet)[names.CONTROLLER_SERVICE] // LOOK_SECONDS
    of_release = away_seconds(release)
    beat = of_release.pop(names.beat_service(RELEASE)) + int(SAY_ALIVE_EVERY_SECONDS)
    workers = max(of_release.values())
    _, well = Judged(blueprint, kind).values()

    def seen(second: int) -> float:
        """At so many seconds of the deploy."""
        if kind == "beat-silent":
            return second if 0 <= second < beat else 0
        if kind in ("no-worker", "below-minimum"):
            return 0 if 0 <= second < workers else well
        if kind == "not-fetched":  # the workers that end fetch nothing any more
            return second if 0 <= second < workers else 0
        return well

    for offset in range(MINUTE):
        for controller_at in (0, beat // LOOK_SECONDS - controller, beat // LOOK_SECONDS):
            looks: list[float | None] = [
                seen(at * LOOK_SECONDS) for at in range(-5 * MINUTE - offset, 20 * MINUTE)
            ]
            begin = 5 * MINUTE + offset + controller_at
            looks[begin : begin + controller + 1] = [None] * (controller + 1)
            judged = Judged(blueprint, kind)
            judged.sees(*looks)
            assert not judged.rang, (offset, controller_at)


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
