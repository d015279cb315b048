"""The steps of `docs/restore.md`: a broker, its snapshot, and another that begins with it beside it.

Its stack alone, without the CDK's command line: what counts is what CloudFormation makes of each template.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from typing import Any

import boto3
import pytest
from aws_cdk import App
from aws_cdk.assertions import Template
from botocore import xform_name
from botocore.exceptions import ClientError
from taskfleet.contract import names, parameters

from infra.preflight.finding import Finding, State
from infra.preflight.restore import judge, look
from infra.settings import Settings
from infra.stacks.broker import BrokerStack
from tests.infra.synthesis import FLAGS, ROOT
from tests.local.emulator.account import Account
from tests.support.reference import DEV

PAGE = (ROOT / "docs" / "restore.md").read_text()
ELSEWHERE = "# AWS only"
STACK = names.stack("dev", "broker")
OLD, NEW = names.broker("dev"), names.broker("dev", "friday")


class Walk:
    """The broker of `dev`, which keeps its data, deployed and looked at."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def deploy(self, snapshot: str | None) -> str:
        """The status in which its stack ends."""
        cloudformation = self._account.client("cloudformation")
        known = [one["StackName"] for one in cloudformation.describe_stacks()["Stacks"]]
        act = cloudformation.update_stack if STACK in known else cloudformation.create_stack
        act(StackName=STACK, TemplateBody=json.dumps(_template(_settings(snapshot))))
        return self._account.settled(STACK)

    def preflight(self, snapshot: str | None) -> Finding:
        """What it says of the broker."""
        settings = _settings(snapshot)
        return judge(
            settings, look(settings, self._account.client("ssm"), self._account.client("elasticache"))
        )

    def base(self, name: str) -> str:
        """A base parameter."""
        found = self._account.client("ssm").get_parameter(Name=parameters.base("dev", name))
        return str(found["Parameter"]["Value"])

    def groups(self) -> set[str]:
        """Which of the two are there."""
        found = self._account.client("elasticache").describe_replication_groups()["ReplicationGroups"]
        return {one["ReplicationGroupId"] for one in found} & {OLD, NEW}

    def aws(self, beginning: str) -> dict[str, Any]:
        """Run the page's only command that begins so, as the AWS command line would."""
        (line,) = [one for one in _commands() if one.startswith(beginning)]
        service, operation, given = _call(line)
        answer: dict[str, Any] = getattr(self._account.client(service), xform_name(operation))(**given)
        return answer


def _settings(snapshot: str | None) -> Settings:
    return replace(
        DEV,
        account="000000000000",
        region="us-east-1",
        keep_data=True,
        network=replace(DEV.network, availability_zones=("us-east-1a", "us-east-1b")),
        broker=replace(DEV.broker, restore_from_snapshot=snapshot),
    )


def _template(settings: Settings) -> dict[str, Any]:
    stack = BrokerStack(App(context=FLAGS), "broker", settings=settings, protected=False)
    template: dict[str, Any] = Template.from_stack(stack).to_json()
    template["Parameters"].pop("BootstrapVersion")
    template.pop("Rules")
    return template


def _commands() -> list[str]:
    """Of the AWS command line, in the page's order."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("aws ")]


def _call(line: str) -> tuple[str, str, dict[str, str]]:
    """(service, operation, parameters) of one of them; fails where AWS has no such."""
    _, service, verb, *options = shlex.split(line, comments=True)
    model = boto3.client(service, region_name="us-east-1").meta.service_model
    (operation,) = [name for name in model.operation_names if xform_name(name, "-") == verb]
    members = model.operation_model(operation).input_shape.members
    of_options = {f"--{xform_name(name, '-')}": name for name in members}
    given = zip(options[::2], options[1::2], strict=True)
    return service, operation, {of_options[option]: value for option, value in given}


@pytest.fixture
def walk(account: Account) -> Walk:
    """What the network's stack would have made and published is there."""
    ec2, key = account.client("ec2"), "arn:aws:kms:us-east-1:000000000000:key/of-this-test"
    vpc = ec2.create_vpc(CidrBlock="10.98.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.98.{number}.0/24")["Subnet"]["SubnetId"]
        for number in range(2)
    ]
    workers = ec2.create_security_group(GroupName="workers", Description="x", VpcId=vpc)["GroupId"]
    for name, value in {
        "vpc-id": vpc,
        "private-subnet-ids": ",".join(subnets),
        "worker-security-group-id": workers,
        "key-arn": key,
    }.items():
        account.client("ssm").put_parameter(Name=parameters.base("dev", name), Value=value, Type="String")
    return Walk(account)


def test_each_command_of_the_page_is_one_that_aws_has() -> None:
    assert [_call(line)[1] for line in _commands()] == [
        "DescribeSnapshots",
        "CopySnapshot",
        "CreateSnapshot",
        "DeleteReplicationGroup",
        "GetParameter",
    ]
    assert sum(line.endswith(ELSEWHERE) for line in _commands()) == 1


def test_a_restored_broker_is_made_beside_the_old_one_and_is_not_emptied_by_accident(walk: Walk) -> None:
    assert walk.deploy(None) == "CREATE_COMPLETE"
    assert (walk.base("broker-group"), walk.base("broker-snapshot")) == (OLD, parameters.NO_SNAPSHOT)
    missing = walk.preflight("friday")
    assert (missing.state, missing.found) == (State.MISSING, "there is no snapshot friday in us-east-1")

    walk.aws("aws elasticache create-snapshot")
    (snapshot,) = walk.aws("aws elasticache describe-snapshots")["Snapshots"]
    assert snapshot["SnapshotName"] == "friday"
    assert "one of friday" in walk.preflight("monday").then
    found = walk.preflight("friday")
    assert found.state is State.LOOK
    assert found.found.startswith(f"{NEW} is made, with what was queued at 20")
    assert f"{OLD} stays beside it" in found.then

    assert walk.deploy("friday") == "UPDATE_COMPLETE"
    assert walk.groups() == {OLD, NEW}
    assert walk.aws("aws ssm get-parameter")["Parameter"]["Value"] == NEW
    assert walk.base("broker-snapshot") == "friday"
    assert walk.preflight("friday").found == f"{NEW} stays, restored from friday"

    emptied = walk.preflight(None)
    assert emptied.state is State.MISSING
    assert 'set Broker(restore_from_snapshot="friday") again' in emptied.then
    assert walk.deploy(None) == "UPDATE_ROLLBACK_COMPLETE", "past preflight: the old name is still taken"
    assert walk.base("broker-group") == NEW

    walk.aws("aws elasticache delete-replication-group")
    assert walk.groups() == {NEW}


def test_a_snapshot_that_does_not_exist_fails_here_as_it_does_on_aws(account: Account) -> None:
    with pytest.raises(ClientError, match="SnapshotNotFoundFault"):
        account.client("elasticache").create_replication_group(
            ReplicationGroupId="lost", ReplicationGroupDescription="x", SnapshotName="never"
        )
