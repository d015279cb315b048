"""The environment's customer-managed key: broker, secret, queues, table, topic and logs."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from infra.base import stateful
from infra.settings import Settings

# What the account's own IAM policies may allow on the key. Without this statement nobody could
# manage it or use it. Each action by name: `kms:*` would include those that nobody needs.
_ACCOUNT_ACTIONS = (
    "CancelKeyDeletion",
    "CreateAlias",
    "CreateGrant",
    "Decrypt",
    "DeleteAlias",
    "DescribeKey",
    "DisableKey",
    "DisableKeyRotation",
    "EnableKey",
    "EnableKeyRotation",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "GetKeyPolicy",
    "GetKeyRotationStatus",
    "ListAliases",
    "ListGrants",
    "ListKeyPolicies",
    "ListKeyRotations",
    "ListResourceTags",
    "PutKeyPolicy",
    "ReEncryptFrom",
    "ReEncryptTo",
    "RetireGrant",
    "RevokeGrant",
    "ScheduleKeyDeletion",
    "TagResource",
    "UntagResource",
    "UpdateAlias",
    "UpdateKeyDescription",
)
_USE = (
    "kms:Decrypt",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "kms:DescribeKey",
)


def environment_key(stack: cdk.Stack, settings: Settings) -> kms.Key:
    """The key. Inside the key's policy the resource ``*`` means the key itself; AWS takes no other."""
    return kms.Key(
        stack,
        "Key",
        alias=f"alias/taskfleet-{settings.name}",
        description=f"Data of the Taskfleet environment {settings.name}",
        enable_key_rotation=True,
        removal_policy=stateful(settings),
        policy=iam.PolicyDocument(
            statements=[_account(), _logs(stack), _alarms(stack)],
        ),
    )


def _account() -> iam.PolicyStatement:
    return iam.PolicyStatement(
        sid="AccountByIam",
        principals=[iam.AccountRootPrincipal()],
        actions=[f"kms:{action}" for action in _ACCOUNT_ACTIONS],
        resources=["*"],
    )


def _logs(stack: cdk.Stack) -> iam.PolicyStatement:
    """CloudWatch Logs, for the log groups of this account and no others."""
    return iam.PolicyStatement(
        sid="LogGroups",
        principals=[iam.ServicePrincipal(f"logs.{stack.region}.amazonaws.com")],
        actions=list(_USE),
        resources=["*"],
        conditions={
            "ArnLike": {
                "kms:EncryptionContext:aws:logs:arn": stack.format_arn(
                    service="logs",
                    resource="log-group",
                    resource_name="*",
                    arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
                )
            }
        },
    )


def _alarms(stack: cdk.Stack) -> iam.PolicyStatement:
    """CloudWatch alarms, which publish to the encrypted topic."""
    return iam.PolicyStatement(
        sid="AlarmsToTopic",
        principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
        actions=["kms:Decrypt", "kms:GenerateDataKey"],
        resources=["*"],
        conditions={"StringEquals": {"aws:SourceAccount": stack.account}},
    )
