"""A service with a scaling target, two step policies and their alarms, made by the account's own API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.support.ministack import MiniStack

NAMESPACE = "Taskfleet"
CLUSTER = "taskfleet-test"


class ScaledService:
    """One service, 1 to 3 tasks: out at a gap of 1 and more, in at -1 and less."""

    def __init__(self, account: MiniStack, *, name: str) -> None:
        self.name = name
        self.ecs = account.client("ecs")
        self.cloudwatch = account.client("cloudwatch")
        self._autoscaling = account.client("application-autoscaling")
        self._create_service()
        target = {
            "ServiceNamespace": "ecs",
            "ResourceId": f"service/{CLUSTER}/{name}",
            "ScalableDimension": "ecs:service:DesiredCount",
        }
        self._autoscaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=3)
        out = self._policy(target, "out", {"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1})
        into = self._policy(target, "in", {"MetricIntervalUpperBound": 0.0, "ScalingAdjustment": -1})
        self._alarm("out", "GreaterThanOrEqualToThreshold", 1.0, [out])
        self._alarm("in", "LessThanOrEqualToThreshold", -1.0, [into])

    @property
    def desired(self) -> int:
        """The desired count that ECS shows."""
        found = self.ecs.describe_services(cluster=CLUSTER, services=[self.name])["services"][0]
        return int(found["desiredCount"])

    def gap(self, value: float, *, at: float) -> None:
        """Publish the capacity gap as the controller does, at ``at`` seconds since the epoch."""
        self.cloudwatch.put_metric_data(
            Namespace=NAMESPACE,
            MetricData=[
                {
                    "MetricName": "CapacityGap",
                    "Dimensions": [{"Name": "Pool", "Value": self.name}],
                    "Timestamp": datetime.fromtimestamp(at, UTC),
                    "Value": value,
                    "StorageResolution": 1,
                }
            ],
        )

    def alarm(self, kind: str) -> Any:
        """One of its two alarms, as ``DescribeAlarms`` shows it."""
        found = self.cloudwatch.describe_alarms(AlarmNames=[f"{self.name}-{kind}"])
        return found["MetricAlarms"][0]

    def _create_service(self) -> None:
        self.ecs.create_cluster(clusterName=CLUSTER)
        self.ecs.register_task_definition(
            family=self.name, containerDefinitions=[{"name": "worker", "image": "none", "memory": 64}]
        )
        self.ecs.create_service(
            cluster=CLUSTER, serviceName=self.name, taskDefinition=self.name, desiredCount=1
        )

    def _policy(self, target: dict[str, str], kind: str, step: dict[str, float]) -> str:
        put = self._autoscaling.put_scaling_policy(
            **target,
            PolicyName=f"{kind}-{self.name}",
            PolicyType="StepScaling",
            StepScalingPolicyConfiguration={
                "AdjustmentType": "ChangeInCapacity",
                "Cooldown": 30,
                "MetricAggregationType": "Maximum",
                "StepAdjustments": [step],
            },
        )
        return str(put["PolicyARN"])

    def _alarm(self, kind: str, comparison: str, threshold: float, actions: list[str]) -> None:
        self.cloudwatch.put_metric_alarm(
            AlarmName=f"{self.name}-{kind}",
            Namespace=NAMESPACE,
            MetricName="CapacityGap",
            Dimensions=[{"Name": "Pool", "Value": self.name}],
            Statistic="Maximum",
            Period=10,
            EvaluationPeriods=2,
            Threshold=threshold,
            ComparisonOperator=comparison,
            TreatMissingData="ignore",
            AlarmActions=actions,
        )
