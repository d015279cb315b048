"""What the role needs that runs `make preflight`, `make deploy` and `make destroy` for one environment.

The CDK's command line does nearly all of it with the bootstrap's roles, which this one may assume. What is
listed beside is what preflight, `infra.deploy` and `infra.destroy` call themselves: a test holds it to those.
"""

from __future__ import annotations

from typing import Any

from taskfleet.contract import names, parameters

from infra.settings import Settings

BOOTSTRAP_ROLES = ("deploy", "file-publishing", "image-publishing", "lookup")

# Asked by preflight, each of which AWS narrows to no resource, or only to what may not exist yet.
READS = (
    "cloudformation:DescribeStacks",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:GetMetricStatistics",
    "ec2:DescribeAddresses",
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeInstances",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcAttribute",
    "ec2:DescribeVpcEndpoints",
    "ec2:DescribeVpcs",
    "ecs:DescribeTasks",
    "ecs:ListTasks",
    "elasticache:DescribeReplicationGroups",
    "elasticache:DescribeSnapshots",
    "iam:GetRole",
    "servicequotas:GetAWSDefaultServiceQuota",
    "servicequotas:GetServiceQuota",
)


def document(settings: Settings) -> dict[str, Any]:
    """The policy document."""
    account, region, qualifier = settings.account, settings.region, settings.bootstrap_qualifier
    ssm = f"arn:aws:ssm:{region}:{account}:parameter"
    stacks = f"arn:aws:cloudformation:{region}:{account}:stack"
    mine = [f"{stacks}/{names.stack(settings.name, part)}/*" for part in names.LONG_LIVED]
    table = f"arn:aws:dynamodb:{region}:{account}:table/{names.state_table(settings.name)}"
    via = {"StringEquals": {"kms:ViaService": f"dynamodb.{region}.amazonaws.com"}}
    statements: list[dict[str, Any]] = [
        {
            "Sid": "Cdk",
            "Action": ["sts:AssumeRole"],
            "Resource": [
                f"arn:aws:iam::{account}:role/cdk-{qualifier}-{role}-role-{account}-{region}"
                for role in BOOTSTRAP_ROLES
            ],
        },
        {"Sid": "Preflight", "Action": list(READS), "Resource": ["*"]},
        {
            "Sid": "Bootstrap",
            "Action": ["ssm:GetParameter"],
            "Resource": [f"{ssm}/cdk-bootstrap/{qualifier}/version"],
        },
        {
            "Sid": "Broker",
            "Action": ["ssm:GetParameters"],
            "Resource": [
                f"{ssm}{parameters.base(settings.name, name)}" for name in ("broker-group", "broker-snapshot")
            ],
        },
        {"Sid": "Protect", "Action": ["cloudformation:UpdateTerminationProtection"], "Resource": mine},
        # What became of the release, which `make deploy` says at its end.
        {"Sid": "Outcome", "Action": ["dynamodb:Scan", "dynamodb:GetItem"], "Resource": [table]},
        {
            "Sid": "OutcomeKey",
            "Action": ["kms:Decrypt"],
            "Resource": [f"arn:aws:kms:{region}:{account}:key/*"],
            "Condition": via,
        },
        {
            "Sid": "DestroyReleases",
            "Action": ["cloudformation:DeleteStack"],
            "Resource": [f"{stacks}/{names.release_stack_prefix(settings.name)}*/*"],
        },
        {
            "Sid": "DestroyPointer",
            "Action": ["ssm:DeleteParameter"],
            "Resource": [
                f"{ssm}{each(settings.name)}"
                for each in (parameters.current_release, parameters.canary_release)
            ],
        },
    ]
    allowed = [{"Effect": "Allow", **statement} for statement in statements]
    return {"Version": "2012-10-17", "Statement": allowed}
