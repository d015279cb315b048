"""A producer of its own process, with the credentials and variables of its environment alone.

Prints JSON: who took its tasks, the one it revoked, and what AWS said when it tried what a producer has no
business with.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
from botocore.exceptions import ClientError
from celery import Celery, group
from taskfleet import install
from taskfleet.contract import etas, names, parameters
from taskfleet.contract.environment import FALLBACK, PRIMARY
from taskfleet.publishing.publisher import force_broker


def said(call: Callable[..., Any], **given: Any) -> str:
    """``allowed``, or the error's code."""
    try:
        call(**given)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "allowed"


def main() -> None:
    app = install(Celery("shop"))
    environment = app.taskfleet.settings.environment
    taken = []
    for broker in (PRIMARY, FALLBACK):
        with force_broker(broker):
            sent = app.send_task("shop.order", kwargs={"n": 1}, queue="low")
            taken.append(broker)
    far = app.send_task("shop.order", kwargs={"n": 1}, queue="low", countdown=3600)
    group(app.signature("shop.order", kwargs={"n": n}, queue="low", countdown=3600) for n in (1, 2)).delay()
    sent.revoke()
    lease = app.taskfleet.publisher._lease
    lease._renew()
    leased = app.taskfleet.releases._lease.get().until > 0
    lease.end()
    sqs, ssm = boto3.client("sqs"), boto3.client("ssm")
    queue = sqs.get_queue_url(QueueName=names.fallback_queue(environment, "low", "r1"))["QueueUrl"]
    dead = queue.replace(
        names.fallback_queue(environment, "low", "r1"), names.dead_letter_queue(environment, "low")
    )
    tried = {
        "read the state table": said(boto3.client("dynamodb").scan, TableName=names.state_table(environment)),
        "delete an ETA": said(
            boto3.client("dynamodb").batch_write_item,
            RequestItems={
                names.etas_table(environment): [
                    {"DeleteRequest": {"Key": {etas.SHARD: {"S": "0"}, etas.POSITION: {"S": far.id}}}}
                ]
            },
        ),
        "receive": said(sqs.receive_message, QueueUrl=queue),
        "send to dead letters": said(sqs.send_message, QueueUrl=dead, MessageBody="x"),
        "promote": said(
            ssm.put_parameter, Name=parameters.current_release(environment), Value="r2", Overwrite=True
        ),
    }
    print(json.dumps({"taken": taken, "revoked": sent.id, "leased": leased, "tried": tried}))


if __name__ == "__main__":
    main()
