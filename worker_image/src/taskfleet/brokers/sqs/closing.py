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

_OURS = "TaskfleetClosed"


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
