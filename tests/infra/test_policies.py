"""The policies of who deploys, and of CloudFormation's role: what is done is allowed, no more."""

from __future__ import annotations

import fnmatch
import json
import re
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from taskfleet import stacks
from taskfleet.contract import names, parameters
from taskfleet.releases.store import Store

from infra import deploy, destroy, needs, preflight
from infra.checks.access import calls as table
from infra.checks.access.authorize import grants
from infra.checks.access.calls import Call
from infra.checks.access.policies import DEPLOYER
from infra.policies import __main__ as command
from infra.policies import deployer, execution
from infra.policies.authorization import ON_ALL as REASONS
from infra.policies.authorization import resource_types
from infra.policies.execution import Place, handled, types
from infra.preflight.account import bootstrap_command
from infra.settings import ExistingVpc, Network, Settings
from local.emulator import calls
from local.emulator.calls import Asked
from tests.infra.synthesis import Synthesis
from tests.infra.variants import EXISTING
from tests.support import reference as environments
from tests.support.ministack import MiniStack
from tests.support.processes import wait_for

PLACE = Place.of(environments.PROD)
HERE = {"aws:RequestedRegion": PLACE.region}
READS = ("Describe", "List", "Get")


def allowed(documents: list[dict[str, Any]], question: Asked) -> bool:
    return any(grants(one, question) for document in documents for one in document["Statement"])


@pytest.fixture(scope="module")
def documents(blueprint: Synthesis, mixed: Synthesis, variants: Synthesis) -> list[dict[str, Any]]:
    """Of every template of the tests."""
    of_types = set().union(*(types(each.templates.values()) for each in (blueprint, mixed, variants)))
    return execution.documents(of_types, PLACE)


def test_each_resource_type_is_covered_by_what_aws_says_its_handlers_need(
    documents: list[dict[str, Any]], blueprint: Synthesis, mixed: Synthesis, variants: Synthesis
) -> None:
    named = {action for one in documents for s in one["Statement"] for action in s["Action"]}
    every = set().union(*(types(each.templates.values()) for each in (blueprint, mixed, variants)))
    missing = {
        (type, action)
        for type in every
        for action in handled(type, PLACE.region)
        if action not in named and not any(fnmatch.fnmatchcase(action, never) for never in execution.NEVER)
    }

    assert {
        "AWS::ECS::Service",
        "AWS::ElastiCache::ReplicationGroup",
        "AWS::AutoScaling::AutoScalingGroup",
    } <= every
    assert missing == set()
    assert all(handled(type, PLACE.region) for type in every - execution.NOTHING)


def test_each_reason_to_leave_something_out_is_needed(
    blueprint: Synthesis, mixed: Synthesis, variants: Synthesis
) -> None:
    every = set().union(*(types(each.templates.values()) for each in (blueprint, mixed, variants)))
    asked = set().union(*(handled(type, PLACE.region) for type in every))

    assert [never for never in execution.NEVER if not fnmatch.filter(asked, never)] == []


def arns(blueprint: Synthesis) -> Iterator[tuple[str, str]]:
    """(type, ARN) of what production makes, where our names are in it."""
    of = blueprint.account(environments.PROD)
    for stack, template in of.templates.items():
        for logical_id, resource in template["Resources"].items():
            type = resource["Type"]
            if type == "AWS::IAM::Role":
                name = resource["Properties"].get("RoleName", f"{stack}-{logical_id}-AbCdEf")
                yield type, f"arn:aws:iam::{of.account}:role/{name}"
            elif type == "AWS::IAM::ManagedPolicy":
                name = resource["Properties"]["ManagedPolicyName"]
                yield type, f"arn:aws:iam::{of.account}:policy/{name}"
            elif type == "AWS::Logs::LogGroup":
                # Without a name of ours CloudFormation makes one of the stack's.
                name = resource["Properties"].get("LogGroupName", f"{stack}-{logical_id}-AbCdEf")
                yield type, f"arn:aws:logs:{of.region}:{of.account}:log-group:{name}"
            elif type in ("AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::SNS::Topic"):
                yield type, of.arn(logical_id, "TopicArn" if type == "AWS::SNS::Topic" else "Arn", stack)
            elif type == "AWS::SSM::Parameter":
                name = of.value(resource["Properties"]["Name"], stack)
                yield type, f"arn:aws:ssm:{of.region}:{of.account}:parameter{name}"
            elif type == "AWS::SecretsManager::Secret":
                yield type, of.ref(logical_id, stack)
            elif type in NAMED:
                given = {
                    name: value for name, value in resource["Properties"].items() if name.endswith(_NAMES)
                }
                known = dict.fromkeys(_NAMES, f"{stack}-{logical_id}-AbCdEf") | of.value(given, stack)
                yield type, NAMED[type].format(region=of.region, account=of.account, **known)


_NAMES = ("ClusterName", "ServiceName", "Family", "ReplicationGroupId", "AlarmName", "DashboardName")
# How IAM names what these make; without a name of ours CloudFormation makes one of the stack's.
NAMED = {
    "AWS::ECS::Cluster": "arn:aws:ecs:{region}:{account}:cluster/{ClusterName}",
    "AWS::ECS::Service": "arn:aws:ecs:{region}:{account}:service/taskfleet-prod/{ServiceName}",
    "AWS::ECS::TaskDefinition": "arn:aws:ecs:{region}:{account}:task-definition/{Family}:1",
    "AWS::ElastiCache::ReplicationGroup": (
        "arn:aws:elasticache:{region}:{account}:replicationgroup:{ReplicationGroupId}"
    ),
    "AWS::CloudWatch::Alarm": "arn:aws:cloudwatch:{region}:{account}:alarm:{AlarmName}",
    "AWS::CloudWatch::Dashboard": "arn:aws:cloudwatch::{account}:dashboard/{DashboardName}",
}


def concerns(action: str, arn: str) -> bool:
    """Whether it is a question about such a resource: a handler also asks for what stands beside it."""
    service, kind = arn.split(":")[2], re.split("[:/]", arn.split(":", 5)[5])[0]
    if action.partition(":")[0] != service:
        return False
    types = resource_types(action)
    return kind in types or service not in ("ecs", "elasticache", "cloudwatch") or not types


def test_what_changes_a_resource_is_allowed_on_its_name(
    documents: list[dict[str, Any]], blueprint: Synthesis
) -> None:
    found = list(arns(blueprint))
    refused = [
        (action, arn)
        for type, arn in found
        for action in handled(type, PLACE.region)
        if concerns(action, arn)
        and action not in ("iam:PassRole", "iam:CreateServiceLinkedRole")
        and not any(fnmatch.fnmatchcase(action, never) for never in execution.NEVER)
        and not allowed(documents, Asked(action, arn, HERE))
    ]

    assert {type.split("::")[1] for type, _ in found} == {
        "IAM", "DynamoDB", "SQS", "SNS", "Logs", "SSM", "SecretsManager", "ECS", "ElastiCache", "CloudWatch",
    }  # fmt: skip
    assert refused == []


ARN = f"arn:aws:{{}}:{PLACE.region}:{PLACE.account}:{{}}"


@pytest.mark.parametrize(
    "question",
    [
        Asked("dynamodb:DeleteTable", ARN.format("dynamodb", "table/orders"), HERE),
        Asked("sqs:DeleteQueue", ARN.format("sqs", "orders"), HERE),
        Asked("logs:DeleteLogGroup", ARN.format("logs", "log-group:/orders"), HERE),
        Asked("secretsmanager:GetSecretValue", ARN.format("secretsmanager", "secret:orders-AbCdEf"), HERE),
        Asked("ssm:GetParameter", ARN.format("ssm", "parameter/orders"), HERE),
        Asked("ssm:GetParameters", ARN.format("ssm", "parameter/orders"), HERE),
        Asked("iam:CreateRole", f"arn:aws:iam::{PLACE.account}:role/Admin", HERE),
        Asked("iam:PutUserPolicy", f"arn:aws:iam::{PLACE.account}:user/taskfleet-me", HERE),
        Asked("ec2:CreateVpc", "*", {"aws:RequestedRegion": "eu-north-1"}),
        Asked(
            "iam:PassRole",
            f"arn:aws:iam::{PLACE.account}:role/Admin",
            {"iam:PassedToService": "ecs-tasks.amazonaws.com"},
        ),
        Asked(
            "iam:PassRole",
            f"arn:aws:iam::{PLACE.account}:role/taskfleet-prod-fleet-x",
            {"iam:PassedToService": "glue.amazonaws.com"},
        ),
        Asked("s3:GetObject", "arn:aws:s3:::orders/x", HERE),
        Asked("ecs:DeleteService", ARN.format("ecs", "service/orders/web"), HERE),
        Asked("ecs:RegisterTaskDefinition", ARN.format("ecs", "task-definition/orders:1"), HERE),
        Asked(
            "elasticache:DeleteReplicationGroup", ARN.format("elasticache", "replicationgroup:orders"), HERE
        ),
        Asked("cloudwatch:DeleteAlarms", ARN.format("cloudwatch", "alarm:orders"), HERE),
        Asked("cloudwatch:PutDashboard", f"arn:aws:cloudwatch::{PLACE.account}:dashboard/orders", HERE),
        Asked(
            "autoscaling:DeleteAutoScalingGroup",
            ARN.format("autoscaling", "autoScalingGroup:1:autoScalingGroupName/orders"),
            HERE,
        ),
    ],
    ids=lambda question: f"{question.action} {question.resource.rpartition(':')[2]}",
)
def test_nothing_of_others_is_changed_or_read(documents: list[dict[str, Any]], question: Asked) -> None:
    assert not allowed(documents, question)


def test_what_changes_something_on_all_resources_has_its_reason(documents: list[dict[str, Any]]) -> None:
    everywhere = {
        action
        for document in documents
        for one in document["Statement"]
        if one["Resource"] == ["*"]
        for action in one["Action"]
        if not action.partition(":")[2].startswith(READS)
    }
    without = [action for action in everywhere if not any(fnmatch.fnmatchcase(action, r) for r in REASONS)]

    assert sorted(without) == []
    assert [reason for reason in REASONS if not fnmatch.filter(everywhere, reason)] == []


def test_each_document_is_a_managed_policy_and_one_role_takes_them_all(
    documents: list[dict[str, Any]],
) -> None:
    assert all(execution.size(one) <= execution.MOST_CHARACTERS for one in documents)
    assert len(documents) <= 5  # of ten that a role may have, IAM's default quota
    actions = [action for each in documents for one in each["Statement"] for action in one["Action"]]
    assert not any(action.endswith(":*") for action in actions)


def test_they_are_written_with_the_commands_that_use_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["policies", "dev"])

    assert command.main() == 0

    said = capsys.readouterr().out
    files = sorted(tmp_path.glob("build/policies/dev/*.json"))
    assert [file.name for file in files][:2] == ["deployer.json", "execution-1.json"]
    assert all(f"file://{file.relative_to(tmp_path)}" in said for file in files)
    assert "--cloudformation-execution-policies arn:aws:iam::" in said
    assert json.loads(files[0].read_text()) == deployer.document(environments.DEV)


def test_policies_of_two_regions_or_bootstraps_have_names_of_their_own() -> None:
    dev = environments.DEV
    zones = Network(availability_zones=("us-east-1a", "us-east-1b"))
    elsewhere = replace(dev, region="us-east-1", network=zones)
    there = (dev, elsewhere, replace(dev, bootstrap_qualifier="shop1"))

    said = [command.page(one, [Path("deployer.json"), Path("execution-1.json")]) for one in there]

    called = [re.findall(r"--policy-name (\S+execution-1)", page) for page in said]
    assert [len(found) for found in called] == [1, 1, 1]
    assert len({name for (name,) in called}) == 3
    assert all(f"policy/{name}" in page for (name,), page in zip(called, said, strict=True))


def test_a_bootstrap_of_ones_own_is_named_in_every_template(variants: Synthesis) -> None:
    templates = [one for name, one in variants.templates.items() if name.startswith("taskfleet-existing-")]
    versions = {one["Parameters"]["BootstrapVersion"]["Default"] for one in templates}

    assert versions == {"/cdk-bootstrap/shop1/version"}
    assert bootstrap_command(EXISTING).endswith("--qualifier shop1 --toolkit-stack-name CDKToolkit-shop1")
    assert "role/cdk-shop1-deploy-role-" in json.dumps(deployer.document(EXISTING))


# -- the role that deploys ---------------------------------------------------------------------------


class Recording:
    """The calls of one session, as the table of calls has them."""

    def __init__(self, session: boto3.Session, settings: Settings) -> None:
        self.calls: set[Call] = set()
        self._settings, self._place = settings, calls.Place(settings.region, settings.account)
        session.events.register("before-parameter-build.*.*", self._see)

    def _see(self, params: Any, model: Any, **_: Any) -> None:
        service = model.service_model.signing_name
        for one in calls.asked(service, model.name, params, self._place):
            said = {"caller": DEPLOYER, "action": one.action, "resource": one.resource}
            line = json.dumps({**said, "context": dict(one.context)})
            self.calls.add(table.generalize(line, self._settings))


@pytest.fixture
def session(aws: MiniStack, monkeypatch: pytest.MonkeyPatch) -> boto3.Session:
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    return boto3.Session(region_name=aws.environment["AWS_REGION"])


@pytest.fixture
def dev(aws: MiniStack) -> Settings:
    """`dev` in the emulated account, with a name of its own: tests share the account."""
    zones = tuple(f"{aws.environment['AWS_REGION']}{letter}" for letter in "ab")
    network = replace(environments.DEV.network, availability_zones=zones)
    return replace(
        environments.DEV,
        name=f"t{uuid.uuid4().hex[:6]}",
        account="000000000000",
        region=aws.environment["AWS_REGION"],
        network=network,
    )


TAKEN = {"Name": "/taken", "Type": "String", "Value": "x"}  # exists, so that no stack can create it
FAILING = {"Resources": {"It": {"Type": "AWS::SSM::Parameter", "Properties": TAKEN}}}
FINE = {"Resources": {"It": {"Type": "AWS::SQS::Queue", "Properties": {}}}}


def make_stack(aws: MiniStack, settings: Settings, part: str, template: dict[str, Any]) -> None:
    tags = [{"Key": key, "Value": value} for key, value in names.stack_tags(settings.name).items()]
    aws.client("cloudformation").create_stack(
        StackName=names.stack(settings.name, part),
        TemplateBody=json.dumps(template),
        Tags=tags,
        EnableTerminationProtection=template is FAILING,
    )


def test_the_calls_of_preflight_deploy_and_destroy_are_those_that_the_policy_is_asked_about(
    session: boto3.Session, aws: MiniStack, dev: Settings, tmp_path: Path
) -> None:
    """`test_access` asks; what the CDK's command line calls itself is added by `tests.cdk`."""
    aws.client("ssm").put_parameter(**TAKEN)
    make_stack(aws, dev, "network", FAILING)
    make_stack(aws, dev, "release-r1", FINE)
    cluster = names.cluster(dev.name)
    ecs = aws.client("ecs")
    ecs.create_cluster(clusterName=cluster)
    ecs.register_task_definition(
        family=dev.name, containerDefinitions=[{"name": "it", "image": "x", "memory": 64}]
    )
    ecs.run_task(cluster=cluster, taskDefinition=dev.name)
    aws.client("ssm").put_parameter(Name=parameters.current_release(dev.name), Value="r1", Type="String")
    _wait_for(aws, names.stack(dev.name, "network"), "ROLLBACK_COMPLETE")
    recording = Recording(session, dev)
    cloudformation, ssm = session.client("cloudformation"), session.client("ssm")

    list(preflight.findings(dev, session))
    addresses = needs.Need.steady(needs.IN_A_SUBNET, 1)
    list(preflight.network.fits(_in_a_vpc(aws, dev), session, addresses))
    restored = replace(dev, broker=replace(dev.broker, restore_from_snapshot="friday"))
    list(preflight.restore.broker(restored, session))
    for quota in preflight.quotas.QUOTAS:
        if quota.by_others is not None:
            quota.by_others(dev, session)
    deploy.not_yet_made(dev, cloudformation)
    store = Store(session.client("dynamodb"), dev.name)
    for read in (lambda: deploy._follow(store, names.ROLLING, since=time.time()), store.read_look):
        with suppress(ClientError):  # there is no such table
            read()
    found = stacks.of_environment(cloudformation, dev.name)
    destroy._delete(cloudformation, dev.name, destroy._releases(dev.name, found))
    destroy._forget_pointer(ssm, dev.name)

    known = table.read()
    of_who_deploys = {call for call in known if call.caller == DEPLOYER and call.action != "sts:AssumeRole"}
    as_seen = tmp_path / "calls.jsonl"
    table.write((known - of_who_deploys) | recording.calls, as_seen)
    remedy = f"if that is meant: cp {as_seen} {table.TABLE}"
    assert sorted(recording.calls - of_who_deploys) == [], f"not in the table; {remedy}"
    assert sorted(of_who_deploys - recording.calls) == [], f"in the table, and nothing calls it; {remedy}"


def _wait_for(aws: MiniStack, stack: str, status: str) -> None:
    client = aws.client("cloudformation")

    def there() -> bool:
        return bool(client.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"] == status)

    wait_for(there, seconds=60, what=f"{status} of {stack}")


def _in_a_vpc(aws: MiniStack, settings: Settings) -> Settings:
    """In a VPC with an endpoint, whose security groups are looked at too."""
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
    existing = ExistingVpc(id=vpc, subnet_tag="Tier=private")
    network = Network(existing=existing, availability_zones=settings.network.availability_zones)
    broker = replace(settings.broker, ingress=("sg-0123456789abcdef0",))
    return replace(settings, network=network, broker=broker)
