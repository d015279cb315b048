"""The team's own secrets: ECS puts each into the environment of a container when that starts.

The role that ECS starts it with (the execution role) may read exactly those, and decrypt with exactly their
keys; the code's own role may neither.
"""

from __future__ import annotations

from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam

from infra.settings import Secret, Settings

# What ECS calls with the execution role (ECS guide, "Task execution IAM role"), by the ARN's service.
_READS = {"secretsmanager": "secretsmanager:GetSecretValue", "ssm": "ssm:GetParameters"}


def injected(settings: Settings) -> dict[str, ecs.Secret]:
    """Variable → what a container definition names under ``secrets``."""
    return {name: _Injected(secret) for name, secret in settings.secret_variables.items()}


class _Injected(ecs.Secret):
    """In place of the CDK's own, which grants more: DescribeSecret, and three more actions on a parameter."""

    def __init__(self, secret: Secret) -> None:
        super().__init__()
        self._secret = secret

    @property
    def arn(self) -> str:
        """``valueFrom``: the ARN, for a field with ``:<field>:<version stage>:<version id>``."""
        field = self._secret.field
        return f"{self._secret.arn}:{field}::" if field else self._secret.arn

    @property
    def has_field(self) -> bool:
        return bool(self._secret.field)

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        arn, key = self._secret.arn, self._secret.key
        service, region = arn.split(":")[2:4]
        grant = iam.Grant.add_to_principal(grantee=grantee, actions=[_READS[service]], resource_arns=[arn])
        if key:
            # The service that holds the secret asks KMS in the role's name; the role itself asks it nothing.
            via = {"kms:ViaService": f"{service}.{region}.amazonaws.com"}
            iam.Grant.add_to_principal(
                grantee=grantee,
                actions=["kms:Decrypt"],
                resource_arns=[key],
                conditions={"StringEquals": via},
            )
        return grant
