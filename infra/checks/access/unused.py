"""What is allowed though no test was seen to use it, each with the reason."""

from __future__ import annotations

from infra.checks.access.policies import BEAT, CONTROLLER, DEPLOYER, PRODUCER, WORKER, Statement

EXEC = "ECS Exec"
_EXEC = "a person's shell in the container (ECS Exec), which this machine has not"
_THROTTLED = "the current release while SSM fails: tests/taskfleet/test_throttling.py"

_SHELL = (
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
    "logs:DescribeLogGroups",
    "logs:DescribeLogStreams",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
)

# (who, statement, action) → why it stays.
UNUSED: dict[tuple[str, str, str], str] = {
    **{(who, EXEC, action): _EXEC for who in (WORKER, BEAT, CONTROLLER) for action in _SHELL},
    **{(who, "FindReleaseInState", "dynamodb:GetItem"): _THROTTLED for who in (WORKER, PRODUCER)},
    (DEPLOYER, "Preflight", "servicequotas:GetAWSDefaultServiceQuota"): (
        "asked for where an account has no quota of its own, which the emulated account can't say"
    ),
    (WORKER, "Consume", "sqs:GetQueueAttributes"): "kombu's, before it deletes a message that was rejected",
}


def name(statement: Statement) -> str:
    """A statement's id; those that the CDK adds for ECS Exec have none."""
    return str(statement.get("Sid") or EXEC)
