"""Puts what a worker must not run, or could not, into the dead-letter store."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from taskfleet import aws
from taskfleet.dead_letters import writing
from taskfleet.dead_letters.letter import Letter
from taskfleet.dead_letters.store import DeadLetters
from taskfleet.settings import WorkerSettings

AGAIN_SECONDS = 10
NOT_PARKED = (BotoCoreError, ClientError)


def park(settings: WorkerSettings, letter: Letter) -> None:
    """Keep a letter. Raises one of `NOT_PARKED` within seconds; doing it again with the same is safe."""
    DeadLetters(aws.client("dynamodb", aws.PROMPT), settings.environment).put(letter)


def park_text(settings: WorkerSettings, *, queue: str, payload: bytes, reason: str) -> None:
    """As `park`, for what Redis held in a queue and is no message (the transport's ``on_malformed``)."""
    park(settings, writing.of_text(settings, versioned_queue=queue, payload=payload, reason=reason))
