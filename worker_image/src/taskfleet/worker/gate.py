"""The gate task's work: the proof that a queue of a release is consumed, on this broker."""

from __future__ import annotations

import time

from taskfleet import aws
from taskfleet.contract import names, state
from taskfleet.errors import SettingsError
from taskfleet.settings import ProducerSettings, WorkerSettings


def prove(settings: ProducerSettings, versioned_queue: str) -> None:
    """Write the proof to the state table. Botocore's errors pass: the task is retried."""
    if not isinstance(settings, WorkerSettings):
        raise SettingsError("the gate task proves that a worker consumes; this process is no worker")
    aws.client("dynamodb").put_item(
        TableName=names.state_table(settings.environment),
        Item={
            state.KEY: {"S": state.gate(versioned_queue, settings.broker)},
            "at": {"N": repr(time.time())},
            "release": {"S": settings.release},
            "pool": {"S": settings.pool},
        },
    )
