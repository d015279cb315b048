"""Makes CloudWatch alarms of the entries in `taskfleet.contract.alarm_catalogue`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct
from taskfleet.contract import names
from taskfleet.contract.alarms import Alarm, Missing, Setting
from taskfleet.contract.metrics import Metric

from infra.settings import Pool, Settings


@dataclass(frozen=True, kw_only=True)
class Alarms:
    """Makes the alarms of one environment; those for a person notify ``topic_arn``, also when they end."""

    settings: Settings
    topic_arn: str

    def add(
        self,
        scope: Construct,
        alarm: Alarm,
        *names_in_scope: str,
        dimensions: Mapping[str, str],
        pool: Pool | None = None,
        policy_arn: str | None = None,
    ) -> cloudwatch.CfnAlarm:
        """Add an alarm of a pool or queue and release, or of a node (``names_in_scope``)."""
        figures = pool or self.settings
        periods = max(1, int(_figure(alarm.lasting_seconds, figures)) // alarm.period_seconds)
        person = [self.topic_arn] if alarm.for_a_person else []
        # The ordinary alarm resource as CloudFormation has it: the CDK's own class attaches scaling
        # policies only through its own policies, which can't name a service of another stack's cluster.
        return cloudwatch.CfnAlarm(
            scope,
            "-".join((alarm.name, *names_in_scope)),
            alarm_name=names.alarm(self.settings.name, alarm.name, *names_in_scope),
            alarm_description=alarm.described(self.settings.runbook_url),
            evaluation_periods=periods,
            datapoints_to_alarm=alarm.breaching or periods,
            comparison_operator=alarm.comparison,
            threshold=_figure(alarm.threshold, figures),
            treat_missing_data=alarm.missing,
            alarm_actions=[*person, *([policy_arn] if policy_arn else [])],
            ok_actions=person or None,
            **_watched(alarm, dimensions),
        )


def _figure(value: float | Setting, settings: Pool | Settings) -> float:
    """A threshold or a time, from the settings where it is one of them."""
    return value.of(settings) if isinstance(value, Setting) else value


def _watched(alarm: Alarm, dimensions: Mapping[str, str]) -> dict[str, Any]:
    """What the alarm looks at: one metric, or one that only counts while another is 0.

    Where silence alarms, missing values are filled: CloudWatch takes older ones for them first, so that two
    minutes of silence would ring after four.
    """
    if alarm.missing is Missing.ALARM:
        # The newest minute may be filled because it comes late: such an alarm needs two in a row.
        return {"metrics": [_counted("FILL(watched, 0)"), _query("watched", alarm, alarm.metric, dimensions)]}
    if alarm.only_without is None:
        return {
            "namespace": alarm.metric.namespace,
            "metric_name": alarm.metric.name,
            "dimensions": _dimensions(alarm.metric, dimensions),
            ("extended_statistic" if alarm.is_percentile else "statistic"): alarm.statistic,
            "period": alarm.period_seconds,
        }
    return {
        "metrics": [
            _counted("IF(other < 1, watched, 0)"),
            _query("watched", alarm, alarm.metric, dimensions),
            _query("other", alarm, alarm.only_without, dimensions),
        ]
    }


def _counted(expression: str) -> cloudwatch.CfnAlarm.MetricDataQueryProperty:
    return cloudwatch.CfnAlarm.MetricDataQueryProperty(id="counted", expression=expression, return_data=True)


def _query(
    id: str, alarm: Alarm, metric: Metric, dimensions: Mapping[str, str]
) -> cloudwatch.CfnAlarm.MetricDataQueryProperty:
    return cloudwatch.CfnAlarm.MetricDataQueryProperty(
        id=id,
        return_data=False,
        metric_stat=cloudwatch.CfnAlarm.MetricStatProperty(
            metric=cloudwatch.CfnAlarm.MetricProperty(
                namespace=metric.namespace,
                metric_name=metric.name,
                dimensions=_dimensions(metric, dimensions),
            ),
            period=alarm.period_seconds,
            stat=alarm.statistic,
        ),
    )


def _dimensions(metric: Metric, values: Mapping[str, str]) -> list[cloudwatch.CfnAlarm.DimensionProperty]:
    return [
        cloudwatch.CfnAlarm.DimensionProperty(name=name, value=value)
        for name, value in metric.values(**values).items()
    ]
