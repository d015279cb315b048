"""Another implementation of CloudFormation deploys every environment's templates: moto, beside ministack.

It makes the resources, so it checks what cfn-lint can't: policies' grammar, references between stacks, that
what is named exists. What the two make of the same templates is read back from both and compared.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.cloudformation.parsing import resource_class_from_type

from infra.settings import Settings
from tests.infra import second_opinion
from tests.infra.synthesis import Synthesis, Template
from tests.local.emulator.account import Account
from tests.support import reference as environments

# moto expects other shapes of these tags than CloudFormation's schemas have, which is what cfn-lint holds.
UNTAGGED = {"AWS::KMS::Key", "AWS::SSM::Parameter"}
# Not made by moto's CloudFormation: cfn-lint and ministack are the two opinions of these.
NOT_MADE = {
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::CloudFormation::WaitCondition",
    "AWS::CloudFormation::WaitConditionHandle",
    "AWS::CloudWatch::Alarm",
    "AWS::ElastiCache::ParameterGroup",
    "AWS::ElastiCache::ReplicationGroup",
    "AWS::ElastiCache::SubnetGroup",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::SecretsManager::Secret",
}
LEFT_OUT = NOT_MADE | {"Custom::VpcRestrictDefaultSG"}  # moto runs a function in Docker
# What moto reads of a task definition and of a service in a template is less than what its API takes.
IGNORED_BY_MOTO = {
    "cpu",
    "networkMode",
    "requiresCompatibilities",
    "runtimePlatform",
    "launchType",
    "desiredCount",
}
# The end of a name that CloudFormation makes up.
GENERATED = re.compile(r"-[A-Z0-9]{12,13}$")


class Moto:
    """Clients of an account of moto's, in the account and region that an environment names."""

    def __init__(self, settings: Settings) -> None:
        account, self._region = settings.account, settings.region
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        sts = boto3.client("sts", region_name=self._region, **keys)
        role = f"arn:aws:iam::{account}:role/deployer"
        given = sts.assume_role(RoleArn=role, RoleSessionName="tests")["Credentials"]
        self._keys = {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name=self._region, **self._keys)


@pytest.fixture
def moto() -> Iterator[None]:
    with mock_aws(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def stacks(blueprint: Synthesis, settings: Settings) -> dict[str, Template]:
    stand_in = f"arn:aws:stand-in:{settings.region}:{settings.account}:it"
    return {
        name: second_opinion.without(template, LEFT_OUT, UNTAGGED, stand_in)
        for name, template in second_opinion.assembly(blueprint.directory, settings.name)
    }


@pytest.mark.usefixtures("moto")
@pytest.mark.parametrize("settings", environments.ALL, ids=lambda settings: settings.name)
def test_moto_deploys_every_stack(blueprint: Synthesis, settings: Settings) -> None:
    account, wanted = Moto(settings), stacks(blueprint, settings)
    second_opinion.bootstrap(account.client, blueprint.directory, settings.name)

    assert set(second_opinion.deploy(account.client, wanted).values()) == {"CREATE_COMPLETE"}

    cloudformation = account.client("cloudformation")
    for name, template in wanted.items():
        made = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
        assert {one["LogicalResourceId"] for one in made} == set(template["Resources"])


def test_nothing_is_left_out_that_moto_makes(blueprint: Synthesis) -> None:
    used = {resource["Type"] for _, _, resource in blueprint.resources()}

    assert used >= LEFT_OUT
    assert {one for one in used if resource_class_from_type(one) is None} == NOT_MADE


@pytest.fixture
def emulator() -> Iterator[Account]:
    account = Account()
    account.start()
    yield account
    account.stop()


@pytest.mark.usefixtures("moto")
@pytest.mark.parametrize("settings", environments.ALL, ids=lambda settings: settings.name)
def test_both_make_the_same_of_the_same_templates(
    blueprint: Synthesis, emulator: Account, settings: Settings
) -> None:
    """In the account and region of the environment."""

    def client(service: str) -> Any:
        return emulator.client(service, account=settings.account, region=settings.region)

    moto, ours = [_deployed(each, blueprint, settings) for each in (Moto(settings).client, client)]

    assert all(ours.values())
    for kind in ours:
        assert moto[kind] == ours[kind], kind


def _deployed(client: second_opinion.Client, blueprint: Synthesis, settings: Settings) -> dict[str, Any]:
    second_opinion.bootstrap(client, blueprint.directory, settings.name)
    second_opinion.deploy(client, stacks(blueprint, settings))
    found = second_opinion.read(client, settings.name)
    return {kind: _comparable(each) for kind, each in found.items()}


def _comparable(value: Any) -> Any:
    """Without what moto leaves out, and log groups' ARNs without their ends: AWS adds ``:*``."""
    match value:
        case dict():
            kept = {key: _comparable(item) for key, item in value.items() if key not in IGNORED_BY_MOTO}
            return {key: item for key, item in kept.items() if item not in ([], None)}
        case list():
            return [_comparable(item) for item in value]
        case str() if ":log-group:" in value:
            return GENERATED.sub("", value.removesuffix(":*"))
    return value
