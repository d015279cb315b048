"""Every alarm is made here: its name, its runbook, whom it tells and what missing data means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct
from taskfleet.contract import metrics, names

RUNBOOKS = "runbooks"


class Audience(StrEnum):
    """Who acts on an alarm."""

    PERSON = "person"  # through the SNS topic
    SCALING = "scaling"  # a step scaling policy


@dataclass(frozen=True)
class Kind:
    """A kind of alarm. ``name`` is also its runbook's; ``meaning`` opens the alarm's description."""

    name: str
    audience: Audience
    meaning: str

    @property
    def runbook(self) -> str:
        """The runbook's path in the repository."""
        return f"{RUNBOOKS}/{self.name}.md"

    def described(self, runbook_url: str | None) -> str:
        """An alarm's description: what it means, and a link to its runbook if pages have an address."""
        return f"{self.meaning} See {f'{runbook_url}/{self.name}.md' if runbook_url else self.runbook}"


_ALL = (
    Kind("scale-out", Audience.SCALING, "The pool needs more workers than it wants."),
    Kind("scale-in", Audience.SCALING, "The pool wants more workers than it needs."),
    Kind("fallback-wake", Audience.SCALING, "Messages wait on the fallback broker: its workers are woken."),
    Kind("fallback-sleep", Audience.SCALING, "Nothing is left on the fallback broker: its workers sleep."),
    Kind("backlog-old", Audience.PERSON, "Messages wait five times longer than the pool's target."),
    Kind("no-worker", Audience.PERSON, "The pool has no running worker."),
    Kind("fallback-in-use", Audience.PERSON, "Messages go through the fallback broker."),
    Kind("controller-silent", Audience.PERSON, "The controller stopped measuring: scaling holds."),
    Kind("broker-down", Audience.PERSON, "The primary broker doesn't answer the controller."),
    Kind("broker-memory", Audience.PERSON, "A node of the primary broker is filling its memory."),
    Kind("broker-cpu", Audience.PERSON, "A node of the primary broker has little processor time left."),
    Kind("fallback-down", Audience.PERSON, "SQS doesn't answer the controller: there is no way out."),
    Kind("beat-silent", Audience.PERSON, "Beat stopped ticking: periodic tasks aren't sent."),
    Kind("drain-overdue", Audience.PERSON, "A release drains longer than its deadline."),
    Kind("dead-letters", Audience.PERSON, "Messages that nothing could run are kept as dead letters."),
)
KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in _ALL})


class Comparison(StrEnum):
    """CloudWatch's comparison operators, as an alarm's sentence needs them."""

    AT_LEAST = "GreaterThanOrEqualToThreshold"
    ABOVE = "GreaterThanThreshold"
    AT_MOST = "LessThanOrEqualToThreshold"
    BELOW = "LessThanThreshold"


class Missing(StrEnum):
    """What no data means (``TreatMissingData``)."""

    HOLD = "ignore"  # a person's alarm stays as it was: not knowing is no news
    OK = "notBreaching"  # a scaling alarm goes off: while it is on, its action is repeated every minute
    ALARM = "breaching"  # silence is what is watched for


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What an alarm looks at, and when it acts: after ``datapoints`` periods in a row."""

    metric: str
    dimensions: Mapping[str, str]
    comparison: Comparison
    threshold: float
    period_seconds: int = metrics.LOOK_SECONDS
    datapoints: int = 1
    namespace: str = metrics.NAMESPACE
    statistic: str = "Maximum"
    missing: Missing = Missing.HOLD


@dataclass(frozen=True, kw_only=True)
class Alarms:
    """Makes the alarms of one environment; those for a person notify ``topic_arn``, also when they end."""

    environment: str
    topic_arn: str
    runbook_url: str | None

    def add(
        self,
        scope: Construct,
        kind: str,
        *names_in_scope: str,
        watch: Watch,
        actions: tuple[str, ...] = (),
    ) -> cloudwatch.CfnAlarm:
        """Add the alarm ``kind`` of a pool and release, or of a node (``names_in_scope``).

        ``actions`` are ARNs of scaling policies. Raises ``KeyError`` for a kind that isn't in `KINDS`.
        """
        it = KINDS[kind]
        tells_a_person = it.audience is Audience.PERSON
        # The ordinary alarm resource as CloudFormation has it: the CDK's own class attaches scaling
        # policies only through its own policies, which can't name a service of another stack's cluster.
        return cloudwatch.CfnAlarm(
            scope,
            "-".join((kind, *names_in_scope)),
            alarm_name=names.alarm(self.environment, kind, *names_in_scope),
            alarm_description=it.described(self.runbook_url),
            namespace=watch.namespace,
            metric_name=watch.metric,
            dimensions=[
                cloudwatch.CfnAlarm.DimensionProperty(name=name, value=value)
                for name, value in watch.dimensions.items()
            ],
            statistic=watch.statistic,
            period=watch.period_seconds,
            evaluation_periods=watch.datapoints,
            datapoints_to_alarm=watch.datapoints,
            comparison_operator=watch.comparison,
            threshold=watch.threshold,
            treat_missing_data=watch.missing,
            alarm_actions=[self.topic_arn] if tells_a_person else list(actions),
            ok_actions=[self.topic_arn] if tells_a_person else None,
        )
