"""SQS queues that nobody consumes any more: their policy refuses what would be sent to them.

SQS takes up to a minute until it keeps to a policy, and to the end of a queue that is deleted: what is sent
meanwhile may be accepted, and is gone with the queue. So first this, then a look, then the delete.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from botocore.exceptions import ClientError

from taskfleet.brokers.sqs.naming import NO_SUCH_QUEUE
from taskfleet.contract.messages import GATE_CHECK_TASK, GATE_TASK

_OURS = "TaskfleetClosed"
# Longer than a look: what is no gate task is looked at by a later one.
_HIDDEN_SECONDS = 30
_GATES = tuple(f'"task": "{task}"' for task in (GATE_TASK, GATE_CHECK_TASK))


def close(client: Any, queues: Iterable[str]) -> bool:
    """Refuse what is sent to these queues, by name; whether any of them was open. Raises botocore's errors.

    One that does not exist takes nothing anyway.
    """
    changed = [_refuse(client, queue, True) for queue in queues]
    return any(changed)


def reopen(client: Any, queues: Iterable[str]) -> bool:
    """Take it again; whether any of them was closed. As `close`."""
    changed = [_refuse(client, queue, False) for queue in queues]
    return any(changed)


def discard_gates(client: Any, queues: Iterable[str]) -> None:
    """Delete their gate tasks, which are no work; what else there is stays. Raises botocore's errors."""
    for queue in queues:
        try:
            url = client.get_queue_url(QueueName=queue)["QueueUrl"]
            _discard_gates(client, url)
        except ClientError as error:
            if error.response["Error"]["Code"] not in NO_SUCH_QUEUE:
                raise


def _discard_gates(client: Any, url: str) -> None:
    found = client.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=_HIDDEN_SECONDS, WaitTimeSeconds=0
    )
    for message in found.get("Messages", ()):
        if any(gate in message["Body"] for gate in _GATES):
            client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def _refuse(client: Any, queue: str, refuse: bool) -> bool:
    """Whether this changed anything."""
    try:
        url = client.get_queue_url(QueueName=queue)["QueueUrl"]
        said = client.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy", "QueueArn"])["Attributes"]
        policy = json.loads(said.get("Policy") or '{"Version": "2012-10-17", "Statement": []}')
        others = [each for each in policy["Statement"] if each.get("Sid") != _OURS]
        if refuse == (len(others) < len(policy["Statement"])):
            return False
        statements = [*others, _deny(said["QueueArn"])] if refuse else others
        text = json.dumps({**policy, "Statement": statements}) if statements else ""
        client.set_queue_attributes(QueueUrl=url, Attributes={"Policy": text})
    except ClientError as error:
        if error.response["Error"]["Code"] not in NO_SUCH_QUEUE:
            raise
        return False
    return True


def _deny(arn: str) -> dict[str, str]:
    return {
        "Sid": _OURS,
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:SendMessage",  # and SendMessageBatch, which has no name of its own in policies
        "Resource": arn,
    }
