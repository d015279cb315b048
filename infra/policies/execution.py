"""What CloudFormation's role needs to make, change and delete everything in the templates, and no more.

Each resource type's schema in AWS's registry says which permissions its handlers need; cfn-lint ships those
schemas. Where AWS has names to narrow an action by, it is narrowed to ours.
"""

from __future__ import annotations

import fnmatch
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from taskfleet.contract import names

from infra.policies import authorization
from infra.settings import Settings

Statement = dict[str, Any]
# Characters of a managed policy, white space not counted (IAM user guide, "IAM and AWS STS quotas").
MOST_CHARACTERS = 6144
_HANDLERS = ("create", "read", "update", "delete")

# A custom resource of the CDK (`restrict_default_security_group`): CloudFormation calls its function.
CUSTOM = ("lambda:InvokeFunction",)

# Resources that are nothing but an entry in their stack.
NOTHING = frozenset(
    {
        "AWS::CDK::Metadata",
        "AWS::CloudFormation::WaitCondition",
        "AWS::CloudFormation::WaitConditionHandle",
    }
)

# Permissions that a schema names and that our templates never use, each with the reason.
NEVER: dict[str, str] = {
    "iam:*User*": "no user has a policy of ours",
    "iam:*Group*": "no group has a policy of ours",
    "dynamodb:*Item": "of replicas and imports: CloudFormation does not touch what is in a table",
    "dynamodb:Query": "the same",
    "dynamodb:Scan": "the same",
    "dynamodb:*Replica": "no table is global",
    "dynamodb:*Import*": "no table is imported",
    "dynamodb:*Kinesis*": "no table streams",
    "kinesis:*": "no table streams",
    "firehose:*": "no log goes to Firehose",
    "s3:*": "no bucket: flow logs and imports go elsewhere, and assets are allowed by name",
    "s3files:*": "no function mounts a file system",
    "elasticfilesystem:*": "the same",
    "vpc-lattice:*": "no service network",
    "vpce:*": "endpoints of this region only",
    "managed-fleets:*": "no such fleet",
    "elasticloadbalancing:*": "no load balancer",
    "lambda:*Provisioned*": "no provisioned concurrency",
    "lambda:*CodeSigning*": "no code signing",
    "lambda:PassCapacityProvider": "no capacity provider of Lambda's",
    "logs:*DataProtection*": "no data protection policy",
    "logs:*ResourcePolicy": "no service writes to our log groups by such a policy",
    "sns:*DataProtection*": "no data protection policy",
    "ec2:*VpnGateway*": "no VPN",
    "ec2:*VpcEncryptionControl*": "no such control",
    "ec2:AcceptAddressTransfer": "no address is taken over",
    "secretsmanager:*Regions*": "no secret is replicated",
    "ssm:Get[*]": "of an instance's image, which is a parameter of AWS's: allowed by name",
    "elasticache:*ShardConfiguration": "cluster mode is off",
}

# What no schema names: templates read parameters by name.
_PARAMETERS = ("ssm:GetParameters", "ssm:GetParameter")

# Services whose resources have our names: what changes them is for these only (…:REGION:ACCOUNT:).
_OURS: Mapping[str, tuple[str, ...]] = {
    "dynamodb": ("table/taskfleet-*",),
    "sqs": ("taskfleet-*",),
    "sns": ("taskfleet-*",),
    "ssm": ("parameter/taskfleet/*",),
    "secretsmanager": ("secret:taskfleet/*",),
    "logs": ("log-group:/taskfleet/*", "log-group:taskfleet-*"),
    "lambda": ("function:taskfleet-*",),
}
_OURS_ANYWHERE: Mapping[str, tuple[str, ...]] = {
    # Neither has a region in its ARN.
    "iam": ("role/taskfleet-*", "policy/taskfleet-*", "instance-profile/taskfleet-*"),
}
# Of those services, what AWS narrows to no resource, or what names a resource of another kind.
_ON_ALL = ("logs:*LogDeliver*", "secretsmanager:GetRandomPassword", "lambda:GetLayerVersion")
_READS = ("Describe*", "List*", "Get*")
_SECRETS = ("secretsmanager:GetSecretValue", *_PARAMETERS)

# Whom a role of ours may be handed to.
_PASSED_TO = (
    "application-autoscaling.amazonaws.com",
    "autoscaling.amazonaws.com",
    "ec2.amazonaws.com",
    "ecs-tasks.amazonaws.com",
    "ecs.amazonaws.com",
    "lambda.amazonaws.com",
    "vpc-flow-logs.amazonaws.com",
)
_SERVICE_ROLES = (
    "autoscaling.amazonaws.com",
    "ecs.amazonaws.com",
    "ecs.application-autoscaling.amazonaws.com",
    "elasticache.amazonaws.com",
)


@dataclass(frozen=True)
class Place:
    """The account, region and bootstrap that the role is for."""

    account: str
    region: str
    qualifier: str

    @classmethod
    def of(cls, settings: Settings) -> Place:
        """Of an environment."""
        return cls(settings.account, settings.region, settings.bootstrap_qualifier)


def types(templates: Iterable[Mapping[str, Any]]) -> set[str]:
    """The resource types in them."""
    return {resource["Type"] for template in templates for resource in template["Resources"].values()}


def handled(type: str, region: str) -> set[str]:
    """The permissions that AWS says the handlers of a resource type need."""
    if type.startswith("Custom::"):
        return set(CUSTOM)
    if type in NOTHING:
        return set()
    handlers = PROVIDER_SCHEMA_MANAGER.get_resource_schema(region, type).schema["handlers"]
    return {one for name in _HANDLERS for one in handlers.get(name, {}).get("permissions", ())}


def needed(of_types: Iterable[str], region: str) -> set[str]:
    """The same of them all, without what is never used."""
    every = set().union(*(handled(type, region) for type in of_types))
    return {one for one in every if not any(fnmatch.fnmatchcase(one, never) for never in NEVER)}


def documents(of_types: Iterable[str], place: Place) -> list[dict[str, Any]]:
    """Policy documents, each no longer than a managed policy may be; one role has them all."""
    packed: list[list[Statement]] = [[]]
    for statement in _cut(_statements(needed(of_types, place.region), place)):
        if size(_document([*packed[-1], statement])) > MOST_CHARACTERS:
            packed.append([])
        packed[-1].append(statement)
    return [_document(statements) for statements in packed]


def size(document: Mapping[str, Any]) -> int:
    """As IAM counts."""
    return len(json.dumps(document, separators=(",", ":")))


def _document(statements: list[Statement]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}


def _cut(statements: Iterable[Statement]) -> Iterator[Statement]:
    """Long lists of actions in pieces, so that documents are filled evenly."""
    most = 40
    for statement in statements:
        actions = statement["Action"]
        for start in range(0, len(actions), most):
            yield {**statement, "Action": actions[start : start + most]}


def _statements(actions: set[str], place: Place) -> Iterator[Statement]:
    narrowed, everywhere = defaultdict(list), []
    for action in sorted(actions - {"iam:PassRole", "iam:CreateServiceLinkedRole"}):
        service, _, verb = action.partition(":")
        if _on_all(action, verb):
            everywhere.append(action)
        elif arns := tuple(_arns(service, place)) or authorization.ours(action, place.account, place.region):
            narrowed[arns].append(action)
        else:
            everywhere.append(action)
    for resources, some in narrowed.items():
        yield _allow(some, list(resources))
    yield _allow(everywhere, ["*"], {"StringEquals": {"aws:RequestedRegion": _regions(place)}})
    roles = f"arn:aws:iam::{place.account}:role/{names.PROJECT}-*"
    passed = {"StringEquals": {"iam:PassedToService": list(_PASSED_TO)}}
    yield _allow(["iam:PassRole"], [roles], passed)
    yield _allow(
        ["iam:CreateServiceLinkedRole"],
        [f"arn:aws:iam::{place.account}:role/aws-service-role/*"],
        {"StringEquals": {"iam:AWSServiceName": list(_SERVICE_ROLES)}},
    )
    parameters = f"arn:aws:ssm:{place.region}:{place.account}:parameter"
    yield _allow(
        list(_PARAMETERS),
        [
            f"{parameters}/{names.PROJECT}/*",
            f"{parameters}/cdk-bootstrap/{place.qualifier}/version",
            f"arn:aws:ssm:{place.region}::parameter/aws/service/ecs/*",
        ],
    )
    assets = f"cdk-{place.qualifier}-assets-{place.account}-{place.region}"
    yield _allow(["s3:GetObject"], [f"arn:aws:s3:::{assets}/*"])


def _on_all(action: str, verb: str) -> bool:
    if action in _SECRETS:
        return False
    reads = any(fnmatch.fnmatchcase(verb, one) for one in _READS)
    return reads or any(fnmatch.fnmatchcase(action, one) for one in _ON_ALL)


def _arns(service: str, place: Place) -> Iterator[str]:
    for name in _OURS.get(service, ()):
        yield f"arn:aws:{service}:{place.region}:{place.account}:{name}"
    for name in _OURS_ANYWHERE.get(service, ()):
        yield f"arn:aws:{service}::{place.account}:{name}"


def _regions(place: Place) -> list[str]:
    """IAM and CloudWatch's dashboards are answered from us-east-1, whatever the region."""
    return sorted({place.region, "us-east-1"})


def _allow(actions: list[str], resources: list[str], condition: Mapping[str, Any] | None = None) -> Statement:
    made: Statement = {"Effect": "Allow", "Action": actions, "Resource": resources}
    return {**made, "Condition": dict(condition)} if condition else made
