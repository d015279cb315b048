"""Our own scaling as it is deployed: looks, the capacity gap, two alarms, two step policies."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from taskfleet.contract import alarm_catalogue
from taskfleet.contract.alarms import Comparison
from taskfleet.contract.metrics import LOOK_SECONDS
from taskfleet.contract.scaling import OUT_COOLDOWN_SECONDS, Step, in_cooldown_seconds, in_steps, out_steps
from taskfleet.scaling.capacity_gap import PoolLoad, capacity_gap
from taskfleet.scaling.rates import Counted, Rates
from taskfleet.simulation import step_scaling
from taskfleet.simulation.engine import Fleet, Seen
from taskfleet.simulation.step_scaling import Activity, Policy, Target

# CloudWatch retrieves more periods than it evaluates, and repeats an alarm's scaling action once a minute
# (`local.alarms` has the sources; a test holds the two together).
EXTRA_PERIODS = 2
REPEAT_SECONDS = 60.0
# The controller looks so long before a period ends, by the clock (`taskfleet.controller.main`).
BEFORE_SECONDS = 1.5
# From the end of a period to the evaluation that has its data, and to ECS's new desired count.
LAG_SECONDS = (1.0, 6.0)


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """What a pool's settings make of the catalogue's alarms and of the steps."""

    scale_out_after_seconds: int = 10
    scale_in_after_seconds: int = 60


class MetricAlarm:
    """A high-resolution alarm of which every period must breach; no data is none that breaches."""

    def __init__(self, *, breaches: Callable[[float], bool], periods: int) -> None:
        self._breaches, self.periods = breaches, periods
        self._values: deque[float | None] = deque(maxlen=periods + EXTRA_PERIODS)
        self._invoked: float | None = None

    def period(self, value: float | None) -> None:
        """The next period's maximum; None if nothing arrived."""
        self._values.append(value)

    def alarming(self) -> tuple[float, ...]:
        """The data points of an alarm that is on, the newest first; else none."""
        used: list[float] = []
        for value in reversed(self._values):
            if value is None:
                continue
            if not self._breaches(value):
                return ()
            used.append(value)
            if len(used) == self.periods:
                return tuple(used)
        return ()

    def acts(self, now: float) -> tuple[float, ...]:
        """The data points with which the alarm invokes its policy now: at its beginning, then each minute."""
        values = self.alarming()
        if not values:
            self._invoked = None
        elif self._invoked is None or now - self._invoked >= REPEAT_SECONDS:
            self._invoked = now
            return values
        return ()


class Ours:
    """Scales a fleet as the controller, CloudWatch and Application Auto Scaling do together."""

    def __init__(
        self,
        fleet: Fleet,
        deployed: Deployed = Deployed(),
        gap: Callable[[PoolLoad], int | None] = capacity_gap,
    ) -> None:
        self._fleet, self._gap = fleet, gap
        service = fleet.service
        self._rates = Rates()
        self._desired_before = fleet.desired
        self._startup = sum(service.startup_seconds) / 2
        self._target = Target(
            resource="service/c/s", minimum=service.min_workers, maximum=service.max_workers
        )
        self._last: Activity | None = None
        self._value: float | None = None
        self.alarms = [
            (
                _alarm("scale-out", deployed),
                _policy(
                    "scale-out", out_steps(service.max_workers - service.min_workers), OUT_COOLDOWN_SECONDS
                ),
                1.0,
            ),
            (
                _alarm("scale-in", deployed),
                _policy(
                    "scale-in",
                    in_steps(service.max_workers - service.min_workers),
                    in_cooldown_seconds(deployed.scale_in_after_seconds),
                ),
                -1.0,
            ),
        ]
        fleet.every(LOOK_SECONDS - BEFORE_SECONDS, LOOK_SECONDS, self._look)
        fleet.every(float(LOOK_SECONDS), LOOK_SECONDS, self._period_ends)

    def _look(self) -> None:
        seen = self._fleet.see()
        self._rates = self._rates.after(
            Counted(at=seen.now, waiting=seen.waiting, busy=seen.busy, fetched=seen.arrived - seen.waiting)
        )
        gap = self._gap(self._load(seen))
        self._desired_before = seen.desired
        if gap is not None and not self._fleet.metrics_lost():
            self._value = gap

    def _load(self, seen: Seen) -> PoolLoad:
        service = self._fleet.service
        return PoolLoad(
            waiting=seen.waiting,
            busy=seen.busy,
            oldest_age_seconds=seen.oldest_age,
            slots=service.slots,
            latency_target_seconds=service.target_seconds,
            min_workers=service.min_workers,
            max_workers=service.max_workers,
            desired=seen.desired,
            running=seen.running,
            flow=self._rates.flow,
            changed=seen.desired != self._desired_before,
            startup_seconds=self._startup,
        )

    def _period_ends(self) -> None:
        value, self._value = self._value, None
        for alarm, _, _ in self.alarms:
            alarm.period(value)
        self._fleet.at(self._fleet.now + self._fleet.random.uniform(*LAG_SECONDS), self._evaluate)

    def _evaluate(self) -> None:
        fleet = self._fleet
        for alarm, policy, threshold in self.alarms:
            values = alarm.acts(fleet.now)
            if not values:
                continue
            decision = step_scaling.plan(
                policy=policy,
                target=self._target,
                value=step_scaling.aggregate(values, policy.aggregation),
                threshold=threshold,
                capacity=fleet.desired,
                last=self._last,
                now=fleet.now,
            )
            if decision.capacity is not None:
                self._last = Activity(
                    at=fleet.now,
                    base=decision.base,
                    capacity=decision.capacity,
                    cooldown_seconds=policy.cooldown_seconds,
                )
                fleet.set_desired(decision.capacity)


def _alarm(name: str, deployed: Deployed) -> MetricAlarm:
    entry = alarm_catalogue.CATALOGUE[name]
    threshold, lasting = float(entry.threshold), getattr(deployed, entry.lasting_seconds.name)  # type: ignore[arg-type,union-attr]
    above = entry.comparison is Comparison.AT_LEAST
    return MetricAlarm(
        breaches=(lambda value: value >= threshold) if above else (lambda value: value <= threshold),
        periods=max(1, lasting // entry.period_seconds),
    )


def _policy(name: str, steps: tuple[Step, ...], cooldown_seconds: int) -> Policy:
    return Policy(
        arn=name,
        name=name,
        resource="service/c/s",
        steps=tuple(step_scaling.Step(lower=s.lower, upper=s.upper, adjustment=s.adjustment) for s in steps),
        cooldown_seconds=cooldown_seconds,
        aggregation="Maximum",
    )
