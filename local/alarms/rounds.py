"""One round: evaluate the alarms that are due, set their states, invoke the policies that they name."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from local.alarms import gather
from local.alarms.definition import Alarm, Missing, State, UnsupportedAlarmError, read
from local.alarms.evaluate import Outcome, evaluate
from local.alarms.expressions import ExpressionError
from local.alarms.functions import Series
from local.alarms.windows import is_due, saw_a_whole_period
from local.scaling.invoke import Scaler

log = logging.getLogger("alarms")

# "For Auto Scaling actions, the alarm continues to invoke the action once per minute that the alarm
# remains in the new state" (CloudWatch User Guide, "Using Amazon CloudWatch alarms").
REPEAT_SECONDS = 60
_REASON_LENGTH = 1023  # SetAlarmState, StateReason


class Rounds:
    """The alarms of an account, round after round. States live in the account, not here."""

    def __init__(self, *, cloudwatch: Any, scaler: Scaler) -> None:
        self._cloudwatch = cloudwatch
        self._scaler = scaler
        self._seen: dict[str, float] = {}
        self._evaluated: dict[str, float] = {}
        self._invoked: dict[tuple[str, str], float] = {}
        self._complained: dict[str, str] = {}

    def run(self, now: float) -> None:
        """One round at ``now`` (seconds since the epoch). Raises botocore's errors if the account is away."""
        self._scaler.refresh()
        alarms = self._read()
        due = [
            alarm
            for alarm in alarms
            if is_due(alarm, now, self._evaluated.get(alarm.name)) and not self._is_too_new(alarm, now)
        ]
        received = gather.datapoints(self._cloudwatch, due, now)
        for alarm in due:
            try:
                self._evaluate(alarm, received, now)
            except (ExpressionError, ClientError) as error:
                # One alarm that can't be evaluated, or was just deleted, must not stop the others.
                self._complain(alarm.name, error)
            self._evaluated[alarm.name] = now

    def _is_too_new(self, alarm: Alarm, now: float) -> bool:
        """Whether data would be missing only because what it watches has just been started.

        A deviation: CloudWatch documents no such patience. On AWS a service that is steady has run for a
        minute or two and left a data point; here it is steady in the second of its start.
        """
        if alarm.missing is not Missing.BREACHING or alarm.state is not State.INSUFFICIENT_DATA:
            return False
        return not saw_a_whole_period(alarm, self._seen.setdefault(alarm.name, now), now)

    def _read(self) -> list[Alarm]:
        alarms = []
        for described in gather.metric_alarms(self._cloudwatch):
            try:
                alarms.append(read(described))
            except UnsupportedAlarmError as error:
                self._complain(described["AlarmName"], error)
        names = {alarm.name for alarm in alarms}
        self._seen = {name: at for name, at in self._seen.items() if name in names}
        self._evaluated = {name: at for name, at in self._evaluated.items() if name in names}
        self._invoked = {key: at for key, at in self._invoked.items() if key[0] in names}
        return alarms

    def _evaluate(self, alarm: Alarm, received: Mapping[gather.Query, Series], now: float) -> None:
        points = gather.watched(alarm, received, now)
        outcome = evaluate(alarm=alarm, datapoints=points, now=now, previous=alarm.state)
        changed = outcome.state is not alarm.state
        if changed:
            self._set_state(alarm, outcome, now)
        self._invoke(alarm, outcome, now, changed=changed)

    def _set_state(self, alarm: Alarm, outcome: Outcome, now: float) -> None:
        """The account keeps the history, and publishes to the topics that the alarm names."""
        data = {
            "version": "1.0",
            "queryDate": datetime.fromtimestamp(now, UTC).isoformat(),
            "period": alarm.period,
            "recentDatapoints": list(reversed(outcome.recent)),
            "threshold": alarm.threshold,
        }
        self._cloudwatch.set_alarm_state(
            AlarmName=alarm.name,
            StateValue=outcome.state.value,
            StateReason=outcome.reason[:_REASON_LENGTH],
            StateReasonData=json.dumps(data),
        )
        log.info("alarm %s %s → %s: %s", alarm.name, alarm.state, outcome.state, outcome.reason)

    def _invoke(self, alarm: Alarm, outcome: Outcome, now: float, *, changed: bool) -> None:
        if outcome.state is State.INSUFFICIENT_DATA:
            return
        for action in filter(self._scaler.handles, alarm.actions.get(outcome.state, ())):
            last = self._invoked.get((alarm.name, action))
            if not changed and last is not None and now - last < REPEAT_SECONDS:
                continue
            self._invoked[alarm.name, action] = now
            self._scaler.invoke(
                action, alarm=alarm.name, values=outcome.recent, threshold=alarm.threshold, now=now
            )

    def _complain(self, name: str, error: Exception) -> None:
        """Once for each reason, not in every round."""
        if self._complained.get(name) != str(error):
            self._complained[name] = str(error)
            log.warning("alarm %s is not evaluated: %s", name, error)
