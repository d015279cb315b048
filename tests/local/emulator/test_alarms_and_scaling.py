"""Alarms, scalable targets and policies come back from the API as the template said."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.local.emulator.account import Account

SIMPLE = {
    "AlarmName": "gap",
    "AlarmDescription": "runbooks/scale-out.md",
    "Namespace": "Taskfleet",
    "MetricName": "CapacityGap",
    "Dimensions": [{"Name": "Pool", "Value": "high"}],
    "Statistic": "Maximum",
    "Period": 10,
    "EvaluationPeriods": 3,
    "DatapointsToAlarm": 2,
    "Threshold": 1,
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    "TreatMissingData": "ignore",
    "AlarmActions": [{"Ref": "Topic"}],
    "OKActions": [{"Ref": "Topic"}],
}
MATH = {
    "AlarmName": "math",
    "EvaluationPeriods": 1,
    "Threshold": 5,
    "ComparisonOperator": "GreaterThanThreshold",
    "Metrics": [
        {"Id": "e1", "Expression": "m1 + m2", "Label": "both", "ReturnData": True},
        *(
            {
                "Id": f"m{n}",
                "ReturnData": False,
                "MetricStat": {
                    "Metric": {"Namespace": "AWS/SQS", "MetricName": f"Metric{n}", "Dimensions": []},
                    "Period": 60,
                    "Stat": "Sum",
                },
            }
            for n in (1, 2)
        ),
    ],
}
RESOURCES = {
    "Topic": {"Type": "AWS::SNS::Topic"},
    "Simple": {"Type": "AWS::CloudWatch::Alarm", "Properties": SIMPLE},
    "Math": {"Type": "AWS::CloudWatch::Alarm", "Properties": MATH},
    "Either": {
        "Type": "AWS::CloudWatch::CompositeAlarm",
        "DependsOn": ["Simple", "Math"],
        "Properties": {"AlarmName": "either", "AlarmRule": 'ALARM("gap") OR ALARM("math")'},
    },
}


def test_every_kind_of_alarm_is_kept_whole(account: Account) -> None:
    account.deploy("alarms", RESOURCES)
    cloudwatch = account.client("cloudwatch")
    found = cloudwatch.describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    alarms = {alarm["AlarmName"]: alarm for alarm in found["MetricAlarms"]}
    written = {k: v for k, v in SIMPLE.items() if not k.endswith("Actions")}
    assert {k: alarms["gap"][k] for k in written} == written
    assert len(alarms["gap"]["AlarmActions"]) == len(alarms["gap"]["OKActions"]) == 1
    assert alarms["math"]["Metrics"] == MATH["Metrics"]
    assert "MetricName" not in alarms["math"]
    assert found["CompositeAlarms"][0]["AlarmRule"] == 'ALARM("gap") OR ALARM("math")'
    account.delete("alarms")
    assert not cloudwatch.describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])["CompositeAlarms"]


def test_a_breaching_metric_alone_moves_no_alarm_and_a_change_keeps_its_state(account: Account) -> None:
    cloudwatch = account.client("cloudwatch")
    account.deploy("state", RESOURCES)
    datum = {
        "MetricName": "CapacityGap",
        "Dimensions": SIMPLE["Dimensions"],
        "Value": 9.0,
        "StorageResolution": 1,
    }
    cloudwatch.put_metric_data(Namespace="Taskfleet", MetricData=[datum])

    def state() -> str:
        return str(cloudwatch.describe_alarms(AlarmNames=["gap"])["MetricAlarms"][0]["StateValue"])

    assert state() == "INSUFFICIENT_DATA"
    cloudwatch.set_alarm_state(AlarmName="gap", StateValue="ALARM", StateReason="test")
    changed = {**RESOURCES, "Simple": {**RESOURCES["Simple"], "Properties": {**SIMPLE, "Threshold": 2}}}
    account.deploy("state", changed)
    assert state() == "ALARM"
    account.delete("state")


TARGET = {
    "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
    "Properties": {
        "ServiceNamespace": "ecs",
        "ResourceId": "service/fleet/high-1",
        "ScalableDimension": "ecs:service:DesiredCount",
        "MinCapacity": 1,
        "MaxCapacity": 4,
        "RoleARN": "arn:aws:iam::000000000000:role/scaling",
        "Tags": [{"Key": "pool", "Value": "high"}],
    },
}
STEPS = {
    "AdjustmentType": "ChangeInCapacity",
    "Cooldown": 30,
    "MetricAggregationType": "Maximum",
    "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}],
}
POLICY = {
    "Type": "AWS::ApplicationAutoScaling::ScalingPolicy",
    "Properties": {
        "PolicyName": "out",
        "PolicyType": "StepScaling",
        "ScalingTargetId": {"Ref": "Target"},
        "StepScalingPolicyConfiguration": STEPS,
    },
}


def test_a_target_and_its_policy_answer_over_the_api(account: Account) -> None:
    scaling = account.client("application-autoscaling")
    arn = account.deploy("scaling", {"Target": TARGET, "Policy": POLICY}, {"Arn": {"Ref": "Policy"}})["Arn"]
    target = scaling.describe_scalable_targets(ServiceNamespace="ecs", ResourceIds=["service/fleet/high-1"])
    assert (target["ScalableTargets"][0]["MinCapacity"], target["ScalableTargets"][0]["MaxCapacity"]) == (
        1,
        4,
    )
    policy = scaling.describe_scaling_policies(ServiceNamespace="ecs", PolicyNames=["out"])[
        "ScalingPolicies"
    ][0]
    assert (policy["PolicyARN"], policy["StepScalingPolicyConfiguration"]) == (arn, STEPS)

    wider = {**TARGET, "Properties": {**TARGET["Properties"], "MaxCapacity": 9}}
    account.deploy("scaling", {"Target": wider, "Policy": POLICY})
    after = scaling.describe_scaling_policies(ServiceNamespace="ecs", PolicyNames=["out"])["ScalingPolicies"]
    assert [p["PolicyARN"] for p in after] == [arn]
    account.delete("scaling")
    assert not scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    assert not scaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]


def test_a_target_whose_minimum_is_above_its_maximum_is_refused(account: Account) -> None:
    with pytest.raises(ClientError, match="Maximum capacity cannot be less"):
        account.client("application-autoscaling").register_scalable_target(
            ServiceNamespace="ecs",
            ResourceId="service/fleet/x",
            ScalableDimension="ecs:service:DesiredCount",
            MinCapacity=3,
            MaxCapacity=2,
        )
