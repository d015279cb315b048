"""Rows of the table of calls that not every run of the tests records, each with the reason.

What a fleet of the tests seldom lives to see, or what cannot be recorded here at all. The code that makes
such a call is run, on real parts, by the tests that are named; its row is from a longer run, or from AWS's
documentation where that is said.
"""

from __future__ import annotations

from dataclasses import dataclass

from infra.checks.access.calls import Call
from infra.checks.access.policies import BEAT, CONTROLLER, DEPLOYER, PRODUCER, WORKER


@dataclass(frozen=True)
class Unseen:
    """Rows of ``caller``: of these actions, with ``about`` in their resource or context."""

    caller: str
    actions: tuple[str, ...]
    reason: str
    about: str = ""

    def covers(self, call: Call) -> bool:
        """Whether the row is one of them."""
        known = call.caller == self.caller and call.action in self.actions
        return known and self.about in f"{call.resource} {call.context}"


_DUE = "only while Redis is away and an entry is due; it publishes by the code that producers publish with"
_FAR = "when an ETA is far: tests/taskfleet/test_etas.py"
_RETIRED = "an hour or more after a release has drained: tests/taskfleet/controller/test_retiring.py"
_PARKED = "while a queue is emptied, or gate tasks are left over: tests/taskfleet/controller/test_retiring.py"
_GATES = "of a release that has gate tasks of its own: tests/taskfleet/test_gate_checks.py"
_JUDGED = "of a release with a canary or a bake: tests/taskfleet/controller/test_canary.py"
_COMMAND = "where the settings name a command before the gate; `fleet run` has the same code, and is recorded"
_REVOKES = "when a task is revoked: tests/taskfleet/test_control.py"
_LIMITS = "under a limited rate: make drill DRILL=limit-restart, tests/taskfleet/tools"
_IMAGES = (
    "no Docker runs here: Amazon ECR user guide, 'Required IAM permissions for pushing an image', and what "
    "the CDK asks before (aws-cdk, cdk-assets)"
)
_ECR = (
    "BatchCheckLayerAvailability",
    "CompleteLayerUpload",
    "DescribeImages",
    "DescribeRepositories",
    "GetAuthorizationToken",
    "InitiateLayerUpload",
    "PutImage",
    "UploadLayerPart",
)

UNSEEN: tuple[Unseen, ...] = (
    Unseen(BEAT, ("dynamodb:PutItem", "dynamodb:BatchGetItem", "dynamodb:BatchWriteItem"), _FAR, "-etas"),
    Unseen(BEAT, ("dynamodb:PutItem",), _FAR, "-dead-letters"),
    Unseen(BEAT, ("dynamodb:GetItem",), _FAR, "release#"),
    Unseen(BEAT, ("sqs:GetQueueUrl", "sqs:SendMessage"), _DUE),
    Unseen(CONTROLLER, ("cloudformation:DeleteStack",), _RETIRED),
    Unseen(CONTROLLER, ("cloudwatch:DescribeAlarms",), _JUDGED),
    Unseen(CONTROLLER, ("ssm:PutParameter",), _JUDGED, "canary-release"),
    Unseen(CONTROLLER, ("sqs:ReceiveMessage", "sqs:DeleteMessage"), _PARKED, "-<queue>-<release>"),
    Unseen(CONTROLLER, ("dynamodb:DeleteItem",), _PARKED, "-dead-letters"),
    Unseen(CONTROLLER, ("dynamodb:BatchGetItem",), _GATES, "gate#check#"),
    Unseen(CONTROLLER, ("ecs:RunTask", "ecs:StopTask", "logs:GetLogEvents"), _COMMAND),
    Unseen(PRODUCER, ("dynamodb:UpdateItem",), _REVOKES, "revokes#"),
    Unseen(PRODUCER, ("dynamodb:PutItem",), _FAR, "-etas"),
    Unseen(WORKER, ("dynamodb:PutItem",), _FAR, "-etas"),
    Unseen(WORKER, ("dynamodb:UpdateItem",), _REVOKES, "revokes#"),
    Unseen(WORKER, ("dynamodb:PutItem",), _GATES, "gate#check#"),
    Unseen(WORKER, ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"), _LIMITS, "limit#"),
    Unseen("cdk-image-publishing", tuple(f"ecr:{action}" for action in _ECR), _IMAGES),
    Unseen(DEPLOYER, ("sts:AssumeRole",), _IMAGES, "image-publishing"),
)
