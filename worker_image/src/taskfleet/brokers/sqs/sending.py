"""What SendMessage and SendMessageBatch are given for kombu's messages, and what each of these got for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError
from kombu.utils.json import dumps

from taskfleet.brokers import eta
from taskfleet.brokers.sqs.naming import NO_SUCH_QUEUE
from taskfleet.contract.limits import SQS_MAX_DELAY_SECONDS

Entry = dict[str, Any]

# What of a message's properties is SQS's own (kombu.transport.SQS, Channel._put).
_ATTRIBUTES, _GROUP, _DELAYS = "message_attributes", "MessageGroupId", ("delay_seconds", "DelaySeconds")


def entry(message: dict[str, Any], *, now: float | None = None) -> Entry:
    """What both calls take for one message, as kombu's transport makes it; its ETA is SQS's to keep."""
    properties = dict(message["properties"])
    made: Entry = {}
    if attributes := properties.pop(_ATTRIBUTES, None):
        made["MessageAttributes"] = attributes
    if group := properties.get(_GROUP):
        made[_GROUP] = group
    if delay := _delay(message, properties, time.time() if now is None else now):
        made["DelaySeconds"] = delay
    return made | {"MessageBody": dumps({**message, "properties": properties})}


def size(made: Entry) -> int:
    """Its bytes, as SQS counts them but for its attributes, which are few."""
    return len(made["MessageBody"])  # ASCII


def queue_url(client: Any, name: str) -> str:
    """Raises ``LookupError`` without such a queue, and botocore's errors."""
    try:
        return str(client.get_queue_url(QueueName=name)["QueueUrl"])
    except ClientError as error:
        if error.response["Error"]["Code"] not in NO_SUCH_QUEUE:
            raise
        raise LookupError(
            f"there is no SQS queue {name!r}: queues are made by deploying a release"
        ) from error


def send(client: Any, url: str, entries: Sequence[Entry]) -> list[ClientError | None]:
    """Send them in one call; for each None or why SQS did not take it. Raises botocore's errors."""
    if len(entries) == 1:
        client.send_message(QueueUrl=url, **entries[0])
        return [None]
    numbered = [{"Id": str(number), **made} for number, made in enumerate(entries)]
    answer = client.send_message_batch(QueueUrl=url, Entries=numbered)
    taken = {result["Id"] for result in answer.get("Successful", ())}
    failed = {result["Id"]: _error(result) for result in answer.get("Failed", ())}
    return [None if made["Id"] in taken else failed.get(made["Id"], _UNKNOWN) for made in numbered]


def _delay(message: dict[str, Any], properties: dict[str, Any], now: float) -> int:
    named = next((properties[key] for key in _DELAYS if properties.get(key) is not None), None)
    ahead = eta.publish_delay_seconds(message, now=now) if named is None else int(named)
    return max(0, min(ahead, SQS_MAX_DELAY_SECONDS))


def _error(result: dict[str, Any]) -> ClientError:
    status = 400 if result.get("SenderFault") else 500
    error = {"Code": result.get("Code", ""), "Message": result.get("Message", "")}
    return ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}}, "SendMessageBatch")


_UNKNOWN = _error({"Code": "Unknown", "Message": "SQS's answer does not name it"})
