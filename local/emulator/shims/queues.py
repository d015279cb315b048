"""SQS: counts what is sent to each queue, of which AWS makes a metric (`local.sqs_metrics` publishes it)."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ministack.services import sqs

SENT: Counter[str] = Counter()  # by the queue's name, since this process started


def register() -> None:
    """Count in the one function that both SendMessage and SendMessageBatch go through."""
    send = sqs._act_send_message

    def counted(data: dict[str, Any], url: str) -> Any:
        answer = send(data, url)
        SENT[str(data.get("QueueUrl", url)).rpartition("/")[2]] += 1
        return answer

    sqs._act_send_message = counted
    sqs._HANDLERS["SendMessage"] = counted
