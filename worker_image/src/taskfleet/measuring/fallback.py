"""The fallback broker: three approximate counts per SQS queue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from taskfleet.measuring.depth import FallbackDepth

_WAITING = "ApproximateNumberOfMessages"
_IN_FLIGHT = "ApproximateNumberOfMessagesNotVisible"
_DELAYED = "ApproximateNumberOfMessagesDelayed"
_GONE = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})


@dataclass(frozen=True)
class FallbackLook:
    """``depths`` by queue, without those that are unknown; ``up`` None if there was nothing to ask."""

    depths: Mapping[str, FallbackDepth]
    missing: frozenset[str]  # queues that SQS says do not exist
    up: bool | None
    problem: str | None = None


@dataclass
class Fallback:
    """Looks at SQS queues by name, and remembers their URLs and since when something waits in them."""

    sqs: Any
    _urls: dict[str, str] = field(default_factory=dict)
    _since: dict[str, float] = field(default_factory=dict)

    def look(self, queues: Iterable[str], *, now: float = 0.0) -> FallbackLook:
        """The depth of each queue. Stops asking at the first call that gets no answer."""
        depths: dict[str, FallbackDepth] = {}
        missing: set[str] = set()
        problem = None
        for queue in queues:
            try:
                depths[queue] = self._depth(queue, now)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _GONE:
                    problem = f"SQS refused to tell about {queue}: {error}"
                    break
                self._urls.pop(queue, None)
                missing.add(queue)
            except BotoCoreError as error:
                problem = f"SQS does not answer: {error}"
                break
        asked = bool(depths or missing or problem)
        return FallbackLook(depths, frozenset(missing), problem is None if asked else None, problem)

    def _depth(self, queue: str, now: float) -> FallbackDepth:
        if queue not in self._urls:
            self._urls[queue] = self.sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        asked = [_WAITING, _IN_FLIGHT, _DELAYED]
        said = self.sqs.get_queue_attributes(QueueUrl=self._urls[queue], AttributeNames=asked)["Attributes"]
        waiting = int(said[_WAITING])
        if waiting:
            self._since.setdefault(queue, now)
        else:
            self._since.pop(queue, None)
        return FallbackDepth(waiting, int(said[_IN_FLIGHT]), int(said[_DELAYED]), self._since.get(queue))
