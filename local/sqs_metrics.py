"""The metrics that SQS itself publishes, once a minute for each queue; the emulated account has none.

Source: SQS Developer Guide, "Available CloudWatch metrics for Amazon SQS". The counts are the queue's
attributes; the age of the oldest message and what was sent are in none, so the emulator is asked for them.
"""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

EVERY_SECONDS = 60
NAMESPACE = "AWS/SQS"
_COUNTS = {
    "ApproximateNumberOfMessages": "ApproximateNumberOfMessagesVisible",
    "ApproximateNumberOfMessagesNotVisible": "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed": "ApproximateNumberOfMessagesDelayed",
}
_AGE = "ApproximateAgeOfOldestMessage"
_DATA_PER_CALL = 1000  # PutMetricData
_PEEK = "/_ministack/sqs/messages"
_SENT = "/_local/sqs/sent"
_PEEK_SECONDS = 10


class QueueMetrics:
    """Publishes them, once in each minute that it is asked to."""

    def __init__(self, *, sqs: Any, cloudwatch: Any) -> None:
        self._sqs = sqs
        self._cloudwatch = cloudwatch
        self._published: float | None = None
        self._sent: dict[str, int] = {}

    def publish_if_due(self, now: float) -> None:
        """Publish if a minute has begun since the last time (``now`` in seconds since the epoch).

        Raises botocore's errors, and ``OSError``, if the account does not answer.
        """
        if self._published is not None and now // EVERY_SECONDS == self._published // EVERY_SECONDS:
            return
        now_sent = self._ask(_SENT)
        before, self._sent = now_sent if self._published is None else self._sent, now_sent
        data = [datum for url in self._queues() for datum in self._measure(url, before, now)]
        for first in range(0, len(data), _DATA_PER_CALL):
            self._cloudwatch.put_metric_data(
                Namespace=NAMESPACE, MetricData=data[first : first + _DATA_PER_CALL]
            )
        self._published = now

    def _queues(self) -> list[str]:
        pages = self._sqs.get_paginator("list_queues").paginate()
        return [url for page in pages for url in page.get("QueueUrls", ())]

    def _measure(self, url: str, before: Mapping[str, int], now: float) -> Iterable[Mapping[str, Any]]:
        try:
            found = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(_COUNTS))
        except ClientError:
            return []  # deleted since it was listed
        counts = {metric: int(found["Attributes"].get(name, 0)) for name, metric in _COUNTS.items()}
        age = self._oldest_age(url, now) if any(counts.values()) else 0.0
        name = url.rsplit("/", 1)[1]
        counts["NumberOfMessagesSent"] = max(0, self._sent.get(name, 0) - before.get(name, 0))
        values = [*((metric, count, "Count") for metric, count in counts.items()), (_AGE, age, "Seconds")]
        return [
            {
                "MetricName": metric,
                "Dimensions": [{"Name": "QueueName", "Value": name}],
                "Timestamp": datetime.fromtimestamp(now, UTC),
                "Value": value,
                "Unit": unit,
            }
            for metric, value, unit in values
        ]

    def _oldest_age(self, url: str, now: float) -> float:
        """Seconds since the oldest message was sent; 0 without one. Receives nothing."""
        accounts = self._ask(f"{_PEEK}?{urllib.parse.urlencode({'QueueUrl': url})}")["messages"]
        sent = [
            message["SentTimestamp"]
            for regions in accounts.values()
            for queues in regions.values()
            for messages in queues.values()
            for message in messages
        ]
        return max(0.0, now - min(sent)) if sent else 0.0

    def _ask(self, path: str) -> Any:
        asked = f"{self._sqs.meta.endpoint_url}{path}"
        with urllib.request.urlopen(asked, timeout=_PEEK_SECONDS) as reply:  # noqa: S310 - the account's endpoint
            return json.load(reply)
