"""What an alarm is: a metric, a threshold with its reason, who acts on it. `alarm_catalogue` has them all."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import Any

from taskfleet.contract.metrics import LOOK_SECONDS, Metric

RUNBOOKS = "runbooks"
MINUTE = 60  # the resolution of ordinary alarms, a third of the price of those of ten seconds


class Audience(StrEnum):
    """Who acts on an alarm."""

    PAGE = "page"  # a person, now
    TICKET = "ticket"  # a person, in working hours
    SCALING = "scaling"  # nobody: a step scaling policy


class Scope(StrEnum):
    """What there is one alarm for."""

    FLEET = "fleet"
    NODE = "node"  # of the primary broker
    RESULTS = "results"  # a node of the results' cache, where there is one
    POOL = "pool"  # of a release
    QUEUE = "queue"  # of a release: its SQS queue


class Comparison(StrEnum):
    """CloudWatch's comparison operators, as an alarm's sentence needs them."""

    AT_LEAST = "GreaterThanOrEqualToThreshold"
    ABOVE = "GreaterThanThreshold"
    AT_MOST = "LessThanOrEqualToThreshold"
    BELOW = "LessThanThreshold"


class Missing(StrEnum):
    """What no data means (``TreatMissingData``)."""

    HOLD = "ignore"  # the alarm stays as it was: not knowing is no news
    OK = (
        "notBreaching"  # the alarm goes off: while a scaling alarm is on, its action is repeated every minute
    )
    ALARM = "breaching"  # silence is what is watched for


@dataclass(frozen=True)
class Setting:
    """A figure from the settings of the environment or, in an alarm of a pool, of the pool: ``times`` it.

    ``name`` may have dots: ``limits.time_limit_seconds``.
    """

    name: str
    times: int = 1

    def of(self, settings: Any) -> int:
        """The figure."""
        return self.times * int(attrgetter(self.name)(settings))


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """One kind of alarm. ``name`` is also its page's; ``meaning`` opens its description.

    It goes off after ``lasting_seconds`` of breaching periods in a row, or ``breaching`` of those periods.
    ``reason`` says why the threshold is what it is, with the eyes of a team of a million tasks a day.
    ``only_without`` counts the metric as 0 unless this other one is 0. ``says`` are what its page must say.
    ``needs`` is a setting of the pool, or of the broker: where it is below ``needs_at_least`` there is no
    such alarm. ``scales`` has a scaling policy of its name as its action. ``of_its_release``: while the
    release bakes, it rolls that back.
    """

    name: str
    audience: Audience
    scope: Scope
    meaning: str
    metric: Metric
    comparison: Comparison
    threshold: float | Setting
    reason: str
    period_seconds: int = MINUTE
    lasting_seconds: int | Setting = 0
    breaching: int | None = None
    statistic: str = "Maximum"
    missing: Missing = Missing.HOLD
    only_without: Metric | None = None
    needs: str | None = None
    needs_at_least: int = 1
    scales: bool = False
    of_its_release: bool = False
    says: tuple[str, ...] = ()

    @property
    def runbook(self) -> str:
        """The page's path in the repository."""
        return f"{RUNBOOKS}/{self.name}.md"

    def is_for(self, settings: Any) -> bool:
        """Whether a pool (its settings or its manifest), or a broker, has such an alarm."""
        return self.needs is None or getattr(settings, self.needs) >= self.needs_at_least

    @property
    def is_percentile(self) -> bool:
        """Whether its statistic is one (``p95``), which AWS calls an extended statistic."""
        return self.statistic.startswith("p")

    @property
    def for_a_person(self) -> bool:
        """Whether somebody has to act on it."""
        return self.audience is not Audience.SCALING

    def described(self, runbook_url: str | None) -> str:
        """An alarm's description: whom it is for, what it means, and its page (a link if pages have one).

        Subscriptions of the SNS topic can be filtered by the first word.
        """
        page = f"{runbook_url}/{self.name}.md" if runbook_url else self.runbook
        return f"{self.audience.capitalize()}: {self.meaning} See {page}"


def scaling(name: str, meaning: str, metric: Metric, gap: int, after: int | Setting, *, reason: str) -> Alarm:
    """An alarm that only scales: on ten-second data, and off when there is none."""
    return Alarm(
        name=name,
        audience=Audience.SCALING,
        scope=Scope.POOL,
        meaning=meaning,
        metric=metric,
        comparison=Comparison.AT_LEAST if gap > 0 else Comparison.AT_MOST,
        threshold=gap,
        reason=reason,
        period_seconds=LOOK_SECONDS,
        lasting_seconds=after,
        missing=Missing.OK,
        scales=True,
    )
