"""Log groups: encrypted with the environment's key, and not kept for ever."""

from __future__ import annotations

from typing import cast

from aws_cdk import RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct


def log_group(
    scope: Construct, id: str, *, key: kms.IKey, retention_days: int, name: str | None = None
) -> logs.LogGroup:
    """A log group. It goes with its stack: logs are kept by their retention, not by an orphan."""
    group = logs.LogGroup(
        scope, id, log_group_name=name, encryption_key=key, removal_policy=RemovalPolicy.DESTROY
    )
    # In days, as the settings say it: the CDK's enumeration has names like SIX_MONTHS.
    cast(logs.CfnLogGroup, group.node.default_child).retention_in_days = retention_days
    return group
