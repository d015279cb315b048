"""Alarms and scaling on a real emulated account: what is put in, what changes in ECS and CloudWatch."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from local.alarms.rounds import Rounds
from local.scaling.invoke import Scaler
from local.sqs_metrics import QueueMetrics
from tests.local.alarms.account import Account
from tests.local.alarms.service import ScaledService


@pytest.fixture
def rounds(account: Account) -> Rounds:
    return Rounds(
        cloudwatch=account.client("cloudwatch"),
        scaler=Scaler(autoscaling=account.client("application-autoscaling"), ecs=account.client("ecs")),
    )


@pytest.fixture
def moments() -> Iterator[float]:
    """The ends of ten-second periods, from one that began a while ago (the account keeps three hours)."""
    start = time.time() // 10 * 10 - 1800
    return (start + 10.0 * number for number in range(150))


def test_a_gap_adds_workers_until_the_most_and_its_end_takes_them_away(
    service: ScaledService, rounds: Rounds, moments: Iterator[float]
) -> None:
    seen = []
    for gap in [1.0] * 14 + [-1.0] * 14:
        now = next(moments)
        service.gap(gap, at=now - 5)
        rounds.run(now)
        if not seen or seen[-1][1] != service.desired:
            seen.append((gap, service.desired))

    # Out after two periods, and again a minute later; in after two, and again a minute later.
    assert seen == [(1.0, 1), (1.0, 2), (1.0, 3), (-1.0, 2), (-1.0, 1)]


def test_a_policy_is_invoked_again_once_a_minute_while_in_alarm(
    service: ScaledService, rounds: Rounds, moments: Iterator[float]
) -> None:
    times = []
    for _ in range(10):
        now = next(moments)
        before = service.desired
        service.gap(1.0, at=now - 5)
        rounds.run(now)
        if service.desired != before:
            times.append(now)

    assert len(times) == 2
    assert times[1] - times[0] == 60


def test_the_account_keeps_state_reason_and_history(
    service: ScaledService, rounds: Rounds, moments: Iterator[float]
) -> None:
    for value in (0.0, 0.0, 2.0, 2.0):
        now = next(moments)
        service.gap(value, at=now - 5)
        rounds.run(now)

    found = service.alarm("out")
    assert found["StateValue"] == "ALARM"
    assert found["StateReason"].startswith("Threshold Crossed: 2 of 2 datapoints [2, 2]")
    assert json.loads(found["StateReasonData"])["recentDatapoints"] == [2.0, 2.0]
    history = service.cloudwatch.describe_alarm_history(
        AlarmName=f"{service.name}-out", HistoryItemType="StateUpdate", ScanBy="TimestampAscending"
    )
    summaries = [item["HistorySummary"] for item in history["AlarmHistoryItems"]]
    assert summaries[-2:] == [
        "Alarm updated from INSUFFICIENT_DATA to OK",
        "Alarm updated from OK to ALARM",
    ]


def test_without_metrics_nothing_scales(
    service: ScaledService, rounds: Rounds, moments: Iterator[float]
) -> None:
    for _ in range(3):
        now = next(moments)
        service.gap(3.0, at=now - 5)
        rounds.run(now)
    service.ecs.update_service(cluster="taskfleet-test", service=service.name, desiredCount=3)

    for _ in range(20):
        rounds.run(next(moments))

    assert service.alarm("out")["StateValue"] == "ALARM"
    assert service.desired == 3


def test_a_service_below_its_least_capacity_is_raised(service: ScaledService, rounds: Rounds) -> None:
    """A changed minimum acts at once, as registering a target does."""
    service.ecs.update_service(cluster="taskfleet-test", service=service.name, desiredCount=0)

    rounds.run(time.time() // 10 * 10)

    assert service.desired == 1


def alarm_on_silence(account: Account, name: str, *, periods: int, **more: object) -> None:
    """Named as the metric that it waits for."""
    account.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="Taskfleet",
        MetricName=name,
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=periods,
        Threshold=1.0,
        ComparisonOperator="LessThanThreshold",
        TreatMissingData="breaching",
        **more,
    )


def test_a_transition_is_published_to_the_alarms_topic(account: Account, rounds: Rounds) -> None:
    sqs, sns = (account.client(name) for name in ("sqs", "sns"))
    queue = sqs.create_queue(QueueName="pager")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    topic = sns.create_topic(Name="alarms")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)
    alarm_on_silence(account, "silent", periods=1, AlarmActions=[topic])

    now = time.time() // 60 * 60
    for again in range(3):
        rounds.run(now + 60 * again)

    received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    messages = [json.loads(json.loads(message["Body"])["Message"]) for message in received]
    assert [(message["AlarmName"], message["NewStateValue"]) for message in messages] == [("silent", "ALARM")]


def test_silence_does_not_count_before_an_alarm_saw_a_whole_period(account: Account, rounds: Rounds) -> None:
    """What it watches was started with it: its first data is of the period in which both were made."""
    cloudwatch = account.client("cloudwatch")
    alarm_on_silence(account, "silent-at-first", periods=2)
    minute = time.time() // 60 * 60 - 600
    state = []
    for at in (minute + 2, minute + 59, *(minute + 1 + 60 * number for number in range(1, 9))):
        tick = {"MetricName": "silent-at-first", "Value": 1.0, "Timestamp": min(at - 5, minute + 150)}
        if at > minute + 60:
            cloudwatch.put_metric_data(Namespace="Taskfleet", MetricData=[tick])
        rounds.run(at)
        found = cloudwatch.describe_alarms(AlarmNames=["silent-at-first"])["MetricAlarms"][0]
        state.append(found["StateValue"])

    assert state[:5] == [*["INSUFFICIENT_DATA"] * 3, "OK", "OK"]
    assert state[-1] == "ALARM", "and then it does"


def deploy_math_alarm(account: Account, *, name: str, expression: str) -> None:
    """By CloudFormation, as the CDK does: the emulator's own PutMetricAlarm takes no metric math."""

    def query(name: str, metric: str) -> dict[str, object]:
        stat = {"Metric": {"Namespace": "Math", "MetricName": metric}, "Period": 60, "Stat": "Sum"}
        return {"Id": name, "MetricStat": stat, "ReturnData": False}

    properties = {
        "AlarmName": name,
        "Metrics": [
            query("errors", "Errors"),
            query("calls", "Calls"),
            {"Id": "rate", "Expression": expression, "ReturnData": True},
        ],
        "EvaluationPeriods": 1,
        "Threshold": 5.0,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    template = {"Resources": {"Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}}}
    cloudformation = account.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})


def test_an_alarm_on_metric_math(account: Account, rounds: Rounds) -> None:
    cloudwatch = account.client("cloudwatch")
    deploy_math_alarm(account, name="error-rate", expression="100 * FILL(errors, 0) / calls")
    now = time.time() // 60 * 60 - 600
    data = [
        {"MetricName": name, "Value": value, "Timestamp": now - 30}
        for name, value in (("Errors", 6), ("Calls", 100))
    ]
    cloudwatch.put_metric_data(Namespace="Math", MetricData=data)

    rounds.run(now)

    found = cloudwatch.describe_alarms(AlarmNames=["error-rate"])["MetricAlarms"][0]
    assert (found["StateValue"], "[6]" in found["StateReason"]) == ("ALARM", True)


def test_a_composite_alarm_follows_its_children(
    account: Account, service: ScaledService, rounds: Rounds, moments: Iterator[float]
) -> None:
    cloudwatch = account.client("cloudwatch")
    cloudwatch.put_composite_alarm(AlarmName="either", AlarmRule=f'ALARM("{service.name}-out")')
    for _ in range(2):
        now = next(moments)
        service.gap(1.0, at=now - 5)
        rounds.run(now)

    found = cloudwatch.describe_alarms(AlarmNames=["either"], AlarmTypes=["CompositeAlarm"])
    assert found["CompositeAlarms"][0]["StateValue"] == "ALARM"


def test_one_alarm_that_cannot_be_evaluated_does_not_stop_the_others(
    account: Account,
    service: ScaledService,
    rounds: Rounds,
    moments: Iterator[float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = f"a-broken-one-of-{service.name}"  # first of all alarms, and of this try alone
    deploy_math_alarm(account, name=broken, expression="RATE(errors)")
    for _ in range(2):
        now = next(moments)
        service.gap(1.0, at=now - 5)
        rounds.run(now)

    assert service.desired == 2
    said = [record.message for record in caplog.records if broken in record.message]
    assert len(said) == 1
    assert "RATE with 1 arguments is not evaluated here" in said[0]


def test_the_queues_metrics(account: Account) -> None:
    sqs, cloudwatch = account.client("sqs"), account.client("cloudwatch")
    url = sqs.create_queue(QueueName="measured")["QueueUrl"]
    for body in ("a", "b", "c"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=60)
    sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1, VisibilityTimeout=60)
    minute = time.time() // 60 * 60
    queues = QueueMetrics(sqs=sqs, cloudwatch=cloudwatch)

    for second in (0, 10, 50):
        queues.publish_if_due(minute + second)
    sqs.send_message(QueueUrl=url, MessageBody="d")
    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "e", "MessageBody": "e"}])
    queues.publish_if_due(minute + 60)

    def values(metric: str, minute: float = minute) -> list[tuple[float, float]]:
        found = cloudwatch.get_metric_statistics(
            Namespace="AWS/SQS",
            MetricName=metric,
            Dimensions=[{"Name": "QueueName", "Value": "measured"}],
            StartTime=minute,
            EndTime=minute + 60,
            Period=60,
            Statistics=["SampleCount", "Maximum"],
        )
        return [(point["SampleCount"], point["Maximum"]) for point in found["Datapoints"]]

    assert values("ApproximateNumberOfMessagesVisible") == [(1, 2)]
    assert values("ApproximateNumberOfMessagesNotVisible") == [(1, 1)]
    assert values("ApproximateNumberOfMessagesDelayed") == [(1, 1)]
    assert values("NumberOfMessagesSent", minute + 60) == [(1, 2)], "in the minute before"
    assert values("ApproximateAgeOfOldestMessage") == [(1, pytest.approx(0, abs=60))]
