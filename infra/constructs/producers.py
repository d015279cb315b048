"""For whoever publishes from outside the fleet, a web application for one: a policy to attach to its role."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from taskfleet.contract import names

from infra.checks.nag import acknowledge
from infra.constructs.permissions import Permissions
from infra.settings import Settings


def producer_policy(stack: cdk.Stack, settings: Settings, permissions: Permissions) -> iam.ManagedPolicy:
    """The managed policy, its ARN as the stack's output ``ProducerPolicyArn``."""
    grants = permissions.producer()
    policy = iam.ManagedPolicy(
        stack,
        "ProducerPolicy",
        managed_policy_name=names.producer_policy(settings.name),
        description=f"Publish tasks to the Taskfleet environment {settings.name}, and nothing else",
        statements=grants.statements,
    )
    for resource, reason in grants.wildcards.items():
        acknowledge(policy, f"AwsSolutions-IAM5[Resource::{resource}]", reason)
    cdk.CfnOutput(
        stack,
        "ProducerPolicyArn",
        value=policy.managed_policy_arn,
        description="Attach it to the role of whatever publishes tasks: docs/producers.md",
    )
    return policy
