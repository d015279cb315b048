"""An emulator that is killed comes back with the account as it was."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from urllib.error import HTTPError

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.emulator.__main__ import INTERRUPTED
from tests.local.emulator.account import Account, Agent
from tests.local.emulator.test_alarms_and_scaling import POLICY, RESOURCES, TARGET
from tests.local.emulator.test_network import VPC
from tests.local.emulator.test_secrets_and_broker import SECRET
from tests.local.emulator.test_services import CLUSTER, described, stack
from tests.support.processes import wait_for

EVERYTHING = {
    **VPC,
    **RESOURCES,
    "Target": TARGET,
    "Policy": POLICY,
    "Secret": SECRET,
    "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "twin"}},
    "Table": {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "TableName": "state",
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        },
    },
    "Parameter": {
        "Type": "AWS::SSM::Parameter",
        "Properties": {"Name": "/a/b", "Type": "String", "Value": "c"},
    },
    "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "assets"}},
    "Document": {
        "Type": "AWS::SSM::Document",
        "Properties": {"Name": "doc", "Content": {"schemaVersion": "0.3"}},
    },
}


def seen(account: Account) -> dict[str, object]:
    """What a test can see of the account, over the APIs."""
    ec2 = account.client("ec2")
    alarms = account.client("cloudwatch").describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    scaling = account.client("application-autoscaling")
    return {
        "stacks": [
            (s["StackName"], s["StackStatus"])
            for s in account.client("cloudformation").describe_stacks()["Stacks"]
        ],
        "gateways": ec2.describe_nat_gateways()["NatGateways"],
        "groups": ec2.describe_security_groups()["SecurityGroups"],
        "alarms": [alarms["MetricAlarms"], alarms["CompositeAlarms"]],
        "targets": scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"],
        "policies": scaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"],
        "secret": account.client("secretsmanager").get_secret_value(SecretId="fleet/broker")["SecretString"],
        "item": account.client("dynamodb").get_item(TableName="state", Key={"id": {"S": "x"}})["Item"],
        "parameter": account.client("ssm").get_parameter(Name="/a/b")["Parameter"]["Value"],
        "object": account.client("s3").get_object(Bucket="assets", Key="k")["Body"].read(),
        "document": account.client("ssm").get_document(Name="doc")["Content"],
        "services": [(s := described(account))["serviceName"], s["taskDefinition"], s["desiredCount"]],
    }


def test_a_killed_account_comes_back_with_everything_deployed(kept_account: Account) -> None:
    account = kept_account
    account.deploy("all", EVERYTHING | stack())
    account.client("dynamodb").put_item(TableName="state", Item={"id": {"S": "x"}, "n": {"N": "1"}})
    account.client("s3").put_object(Bucket="assets", Key="k", Body=b"\x00zip")
    account.wait_until_saved()
    before = seen(account)
    account.kill()
    account.start()
    assert seen(account) == before
    account.deploy("all", EVERYTHING | stack(count=2))  # and goes on from there
    assert described(account)["desiredCount"] == 2


def test_no_message_that_sqs_accepted_is_lost_by_a_kill(kept_account: Account) -> None:
    account = kept_account
    sqs = account.client("sqs")
    url = sqs.create_queue(QueueName="twin")["QueueUrl"]
    account.wait_until_saved()
    accepted: list[str] = []
    mine = account.client("sqs", Config(retries={"total_max_attempts": 1}))

    def send() -> None:
        for number in range(100_000):
            try:
                mine.send_message(QueueUrl=url, MessageBody=str(number))
            except (BotoCoreError, ClientError):
                return
            accepted.append(str(number))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        wait_for(lambda: len(accepted) > 100, seconds=60, what="a hundred messages")
    finally:
        account.kill()
        thread.join()
    account.start()
    found: set[str] = set()
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found |= {message["Body"] for message in messages}
    assert set(accepted) - found == set()


def test_no_message_is_lost_by_a_kill_while_the_state_can_not_be_written(
    kept_account: Account, tmp_path: Path
) -> None:
    account, kept = kept_account, tmp_path / "account"
    sqs = account.client("sqs")
    url = sqs.create_queue(QueueName="twin")["QueueUrl"]
    account.wait_until_saved()
    obstacle = kept / "sqs.json.tmp"
    obstacle.mkdir()
    before = kept / "sqs.journal.before"
    for number in range(2):  # the second is in there once the first attempt has failed
        sqs.send_message(QueueUrl=url, MessageBody=f"number {number}")
        wait_for(
            lambda line=f"number {number}": before.exists() and line in before.read_text(),
            seconds=30,
            what="an attempt to write",
        )
    assert "number 0" in before.read_text()
    assert "sqs" in account.local("GET", "/_local/health")["unsaved"]
    account.kill()
    account.start()
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert sorted(m["Body"] for m in messages) == ["number 0", "number 1"]
    obstacle.rmdir()
    account.wait_until_saved()
    assert not before.exists()


def test_a_deleted_message_stays_deleted(kept_account: Account) -> None:
    account = kept_account
    sqs = account.client("sqs")
    url = sqs.create_queue(QueueName="twin")["QueueUrl"]
    for body in ("kept", "gone"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    account.wait_until_saved()
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)["Messages"]
    gone = next(m for m in messages if m["Body"] == "gone")
    sqs.delete_message(QueueUrl=url, ReceiptHandle=gone["ReceiptHandle"])
    account.kill()
    account.start()
    bodies = [m["Body"] for m in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]]
    assert bodies == ["kept"]


def test_an_account_lost_in_a_deployment_refuses_to_serve(kept_account: Account, tmp_path: Path) -> None:
    account, kept = kept_account, tmp_path / "account" / "cloudformation.json"
    with Agent(account, cluster=CLUSTER) as agent:
        agent.broken.add("worker")
        broken = stack()
        del broken["Servicehigh"]["Properties"]["DeploymentConfiguration"]  # no breaker: it waits
        template = json.dumps({"Resources": broken})
        account.client("cloudformation").create_stack(StackName="half", TemplateBody=template)
        wait_for(
            lambda: kept.exists() and "CREATE_IN_PROGRESS" in kept.read_text(),
            seconds=30,
            what="the saving of a stack in progress",
        )
    account.kill()
    account.start(wait=False)
    assert account.process is not None
    assert account.process.wait(30) == INTERRUPTED


@pytest.mark.parametrize("path", ["/_local/nothing", "/_local/ecs/tasks"])
def test_a_path_that_is_not_served_says_where_to_read(account: Account, path: str) -> None:
    with pytest.raises(HTTPError) as raised:
        account.local("GET", path)
    assert raised.value.code == 404
