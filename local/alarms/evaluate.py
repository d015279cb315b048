"""From data points to a state: the documented rules of CloudWatch, and nothing else.

Source: CloudWatch User Guide, "Evaluating an alarm" and "Configuring how CloudWatch alarms treat missing
data" (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from local.alarms.definition import COMPARISONS, Alarm, Missing, State
from local.alarms.windows import evaluation_range


@dataclass(frozen=True)
class Outcome:
    """What an evaluation came to. ``recent`` are the real data points it used, newest first."""

    state: State
    reason: str
    recent: tuple[float, ...] = ()


def evaluate(*, alarm: Alarm, datapoints: Mapping[int, float], now: float, previous: State) -> Outcome:
    """The alarm's state at ``now``, given the value of each period by its start (seconds since the epoch)."""
    starts = evaluation_range(alarm, now)
    received = [(age, datapoints[at]) for age, at in enumerate(reversed(starts), 1) if at in datapoints]
    # All real data points count before a missing one does, also those from before the last N periods.
    used = received[: alarm.evaluation_periods]
    if not used:
        return _nothing_received(alarm, previous)
    return _with_some(alarm, used, previous)


def _nothing_received(alarm: Alarm, previous: State) -> Outcome:
    count = alarm.evaluation_periods
    reason = f"no datapoints were received for {count} {_plural(count, 'period')}"
    if alarm.missing is Missing.IGNORE:
        return Outcome(previous, f"{reason}; the state is kept")
    if alarm.missing is Missing.MISSING:
        return Outcome(State.INSUFFICIENT_DATA, f"Insufficient Data: {reason}")
    state, treated = (
        (State.ALARM, "Breaching") if alarm.missing is Missing.BREACHING else (State.OK, "NonBreaching")
    )
    return Outcome(
        state,
        f"Threshold Crossed: {reason} and {count} missing {_plural(count, 'datapoint')} "
        f"{'were' if count > 1 else 'was'} treated as [{treated}].",
    )


def _with_some(alarm: Alarm, used: Sequence[tuple[int, float]], previous: State) -> Outcome:
    values = tuple(value for _, value in used)
    absent = alarm.evaluation_periods - len(used)
    breaching = sum(alarm.breaches(value) for value in values)
    if alarm.missing is Missing.BREACHING:
        breaching += absent
    if breaching >= alarm.datapoints_to_alarm:
        return Outcome(State.ALARM, _crossed(alarm, values, absent), values)
    settled = absent == 0 or alarm.missing in (Missing.BREACHING, Missing.NOT_BREACHING)
    if settled or not all(alarm.breaches(value) for value in values):
        return Outcome(State.OK, _crossed(alarm, values, absent), values)
    return _only_breaching_and_missing(alarm, used, previous)


def _only_breaching_and_missing(alarm: Alarm, used: Sequence[tuple[int, float]], previous: State) -> Outcome:
    """Too few breaching data points, and no other ones: "Avoiding premature transitions to alarm state".

    Where the documentation says only that the alarm does *not* go to ALARM yet, the state is kept.
    """
    values = tuple(value for _, value in used)
    absent = alarm.evaluation_periods - len(used)
    oldest_age = used[-1][0]
    if alarm.missing is Missing.MISSING and oldest_age >= alarm.datapoints_to_alarm:
        return Outcome(State.ALARM, _crossed(alarm, values, absent), values)
    return Outcome(previous, f"{_crossed(alarm, values, absent)} The state is kept.", values)


def _crossed(alarm: Alarm, values: Sequence[float], absent: int) -> str:
    breaching = sum(alarm.breaches(value) for value in values)
    shown = ", ".join(f"{value:g}" for value in values)
    text = (
        f"Threshold Crossed: {breaching} of {len(values)} {_plural(len(values), 'datapoint')} [{shown}] "
        f"{'was' if breaching == 1 else 'were'} {COMPARISONS[alarm.comparison]} the threshold "
        f"({alarm.threshold:g}); {alarm.datapoints_to_alarm} of {alarm.evaluation_periods} make an alarm."
    )
    return text + (f" {absent} missing, treated as {alarm.missing.value}." if absent else "")


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"
