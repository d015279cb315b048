"""A deploy of the broker's stack after a rotation: neither the secret nor the group goes back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from aws_cdk import App
from aws_cdk.assertions import Template
from taskfleet.contract import names, parameters

from infra.settings import Settings
from infra.stacks.broker import BrokerStack
from tests.infra.synthesis import FLAGS
from tests.local.emulator.account import Account
from tests.support.reference import DEV

NAME = "rotated"
SECRET, GROUP, STACK = names.broker_secret(NAME), names.broker(NAME), names.stack(NAME, "broker")
ROTATED = "the-password-after-the-generated-one"


def settings(**broker: Any) -> Settings:
    network = replace(DEV.network, availability_zones=("us-east-1a", "us-east-1b"))
    here = {"name": NAME, "account": "000000000000", "region": "us-east-1", "keep_data": True}
    return replace(DEV, **here, network=network, broker=replace(DEV.broker, **broker))  # type: ignore[arg-type]


def template(of: Settings, description: str) -> str:
    stack = BrokerStack(App(context=FLAGS), "broker", settings=of, protected=False)
    made: dict[str, Any] = Template.from_stack(stack).to_json()
    made["Parameters"].pop("BootstrapVersion")
    made.pop("Rules")
    (secret,) = (one for one in made["Resources"].values() if one["Type"].endswith("::Secret"))
    secret["Properties"]["Description"] = description
    return json.dumps(made)


@pytest.fixture
def deployed(account: Account) -> Account:
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.97.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.97.{number}.0/24")["Subnet"]["SubnetId"]
        for number in range(2)
    ]
    for name, value in {
        "vpc-id": vpc,
        "private-subnet-ids": ",".join(subnets),
        "worker-security-group-id": "sg-0123456789abcdef0",
        "key-arn": "arn:aws:kms:us-east-1:000000000000:key/of-this-test",
    }.items():
        account.client("ssm").put_parameter(Name=parameters.base(NAME, name), Value=value, Type="String")
    account.client("cloudformation").create_stack(StackName=STACK, TemplateBody=template(settings(), "first"))
    assert account.settled(STACK) == "CREATE_COMPLETE"
    return account


def tokens(account: Account) -> list[str]:
    found: list[str] = account.local("GET", "/_local/broker/tokens", {"group": GROUP})["tokens"]
    return found


def rotate(account: Account) -> None:
    """As `fleet broker rotate-password` does, with nodes that take each password at once."""
    account.client("secretsmanager").put_secret_value(
        SecretId=SECRET, SecretString=json.dumps({"username": "default", "password": ROTATED})
    )
    for strategy in ("ROTATE", "SET"):
        account.client("elasticache").modify_replication_group(
            ReplicationGroupId=GROUP, AuthToken=ROTATED, AuthTokenUpdateStrategy=strategy
        )
        account.local("PUT", "/_local/broker/tokens", {"group": GROUP, "tokens": tokens(account)})


def test_a_deploy_after_a_rotation_changes_neither_the_secret_nor_the_group(deployed: Account) -> None:
    secrets, groups = deployed.client("secretsmanager"), deployed.client("elasticache")
    generated = json.loads(secrets.get_secret_value(SecretId=SECRET)["SecretString"])["password"]
    assert tokens(deployed) == [generated]
    rotate(deployed)
    before = groups.describe_replication_groups(ReplicationGroupId=GROUP)["ReplicationGroups"][0]

    deployed.client("cloudformation").update_stack(
        StackName=STACK, TemplateBody=template(settings(snapshot_retention_days=9), "another")
    )

    assert deployed.settled(STACK) == "UPDATE_COMPLETE"
    after = groups.describe_replication_groups(ReplicationGroupId=GROUP)["ReplicationGroups"][0]
    assert (before["SnapshotRetentionLimit"], after["SnapshotRetentionLimit"]) == (1, 9)
    assert after["AuthTokenLastModifiedDate"] == before["AuthTokenLastModifiedDate"]
    assert secrets.describe_secret(SecretId=SECRET)["Description"] == "another"
    assert json.loads(secrets.get_secret_value(SecretId=SECRET)["SecretString"])["password"] == ROTATED
    assert tokens(deployed) == [ROTATED]
