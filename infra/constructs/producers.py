"""For whoever publishes from outside the fleet, a web application for one: a policy to attach to its role."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from taskfleet.contract import names

from infra.constructs.managed import managed_policy
from infra.constructs.permissions import Permissions
from infra.settings import Settings


def producer_policy(stack: cdk.Stack, settings: Settings, permissions: Permissions) -> iam.ManagedPolicy:
    """The managed policy, its ARN as the stack's output ``ProducerPolicyArn``."""
    return managed_policy(
        stack,
        "ProducerPolicy",
        name=names.producer_policy(settings.name, settings.region),
        grants=permissions.producer(),
        description=f"Publish tasks to the Taskfleet environment {settings.name}, and nothing else",
        attach="Attach it to the role of whatever publishes tasks: docs/producers.md",
    )
