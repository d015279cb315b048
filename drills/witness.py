"""Somebody who sends to SQS beside a drill's load, by boto3 alone: how fast SQS itself answers meanwhile."""

from __future__ import annotations

import threading
import time
import uuid
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError
from taskfleet import aws

from drills.fleet import Fleet

# A publish of the load that timed out had the others on SQS wait as well; one message takes less than ten.
SLOW_SECONDS = aws.PROMPT_SECONDS / 3
PAUSE_SECONDS = 0.02


class Witness:
    """While the block runs, it sends one message after the other to a queue of its own.

    With the time-outs of a publish (`taskfleet.aws.PROMPT`), and from a process that nothing starves: where
    its calls are slow, SQS is.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._client: Any = fleet.client("sqs", aws.PROMPT)
        self._patient: Any = fleet.client("sqs")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send_until_over, name="witness", daemon=True)
        self.calls: list[tuple[float, float, bool]] = []  # when it began (epoch), seconds, answered

    def slow(self, at: float, seconds: float) -> bool:
        """Whether SQS was slow, or did not answer, at any time of these ``seconds`` from ``at`` on."""
        return any(
            began <= at + seconds and at <= began + took and (took >= SLOW_SECONDS or not answered)
            for began, took, answered in self.calls
        )

    @property
    def longest(self) -> float:
        """Of its calls, in seconds."""
        return max((took for _began, took, _answered in self.calls), default=0.0)

    def __enter__(self) -> Self:
        name = f"drill-witness-{uuid.uuid4().hex[:8]}"
        self._url = self._patient.create_queue(QueueName=name)["QueueUrl"]
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._patient.delete_queue(QueueUrl=self._url)

    def _send_until_over(self) -> None:
        while not self._over.wait(PAUSE_SECONDS):
            at, began, answered = time.time(), time.monotonic(), True
            try:
                self._client.send_message(QueueUrl=self._url, MessageBody="anything")
            except (BotoCoreError, ClientError):
                answered = False
            self.calls.append((at, time.monotonic() - began, answered))
