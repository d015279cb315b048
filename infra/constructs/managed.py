"""A managed policy for somebody outside the fleet, with its ARN as an output of the stack."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from infra.checks.nag import acknowledge
from infra.constructs.permissions import Grants


def managed_policy(
    stack: cdk.Stack, id: str, *, name: str, grants: Grants, description: str, attach: str
) -> iam.ManagedPolicy:
    """The policy; the output is called ``<id>Arn``, and ``attach`` says to whom it goes."""
    policy = iam.ManagedPolicy(
        stack, id, managed_policy_name=name, description=description, statements=grants.statements
    )
    for resource, reason in grants.wildcards.items():
        acknowledge(policy, f"AwsSolutions-IAM5[Resource::{resource}]", reason)
    cdk.CfnOutput(stack, f"{id}Arn", value=policy.managed_policy_arn, description=attach)
    return policy
