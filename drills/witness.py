"""Somebody who sends to SQS beside a drill's load, by boto3 alone: how fast SQS itself answers meanwhile."""

from __future__ import annotations

import time
import uuid
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError
from taskfleet import aws

from drills.beside import Beside
from drills.fleet import Fleet

# A publish of the load that timed out had the others on SQS wait as well; one message takes less than ten.
SLOW_SECONDS = aws.PROMPT_SECONDS / 3


class Witness(Beside):
    """While the block runs, it sends one message after the other to a queue of its own.

    With the time-outs of a publish (`taskfleet.aws.PROMPT`), and from a process that nothing starves: where
    its calls are slow, SQS is.
    """

    every_seconds = 0.02

    def __init__(self, fleet: Fleet) -> None:
        self._client: Any = fleet.client("sqs", aws.PROMPT)
        self._patient: Any = fleet.client("sqs")
        self.calls: list[tuple[float, float, bool]] = []  # when it began (epoch), seconds, answered

    def slow(self, at: float, seconds: float) -> bool:
        """Whether SQS was slow, or did not answer, at any time of these ``seconds`` from ``at`` on."""
        return any(
            began <= at + seconds and at <= began + took and (took >= SLOW_SECONDS or not answered)
            for began, took, answered in self.calls
        )

    def step(self) -> None:
        """One message."""
        at, began, answered = time.time(), time.monotonic(), True
        try:
            self._client.send_message(QueueUrl=self._url, MessageBody="anything")
        except (BotoCoreError, ClientError):
            answered = False
        self.calls.append((at, time.monotonic() - began, answered))

    def __enter__(self) -> Self:
        name = f"drill-witness-{uuid.uuid4().hex[:8]}"
        self._url = self._patient.create_queue(QueueName=name)["QueueUrl"]
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._patient.delete_queue(QueueUrl=self._url)
