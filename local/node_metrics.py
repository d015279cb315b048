"""The metrics that ElastiCache itself publishes, once a minute for each node; those that alarms watch.

Source: ElastiCache User Guide, "Metrics for Valkey and Redis OSS". A node that does not answer publishes
nothing, here as there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import redis
from botocore.exceptions import ClientError
from redis.backoff import NoBackoff
from redis.retry import Retry

EVERY_SECONDS = 60
NAMESPACE = "AWS/ElastiCache"
_ANSWER_SECONDS = 2.0
_UNITS = {"CurrConnections": "Count", "ReplicationLag": "Seconds"}


class NodeMetrics:
    """Of one group's nodes: by their names the ports of their valkey-servers; ``secret`` has the password."""

    def __init__(
        self, *, nodes: Mapping[str, int], secret: str, secretsmanager: Any, cloudwatch: Any
    ) -> None:
        self._nodes, self._secret = nodes, secret
        self._secretsmanager, self._cloudwatch = secretsmanager, cloudwatch
        self._published: float | None = None
        self._processor: dict[str, tuple[float, float]] = {}  # node: when, and the seconds used until then

    def publish_if_due(self, now: float) -> None:
        """Publish if a minute has begun since the last time (``now`` in seconds since the epoch)."""
        if self._published is not None and now // EVERY_SECONDS == self._published // EVERY_SECONDS:
            return
        self._published = now
        for node, port in self._nodes.items():
            info = self._info(port)
            if info is not None:
                self._publish(node, info, now)

    def _publish(self, node: str, info: dict[str, Any], now: float) -> None:
        self._cloudwatch.put_metric_data(
            Namespace=NAMESPACE,
            MetricData=[
                {
                    "MetricName": name,
                    "Dimensions": [{"Name": "CacheClusterId", "Value": node}],
                    "Timestamp": datetime.fromtimestamp(now, UTC),
                    "Value": value,
                    "Unit": _UNITS.get(name, "Percent"),
                }
                for name, value in self._values(node, info, now).items()
            ],
        )

    def _values(self, node: str, info: dict[str, Any], now: float) -> dict[str, float]:
        most = float(info["maxmemory"])
        values = {"DatabaseMemoryUsagePercentage": 100 * info["used_memory"] / most if most else 0.0}
        values["CurrConnections"] = float(info["connected_clients"])
        if info["role"] == "slave":
            # On one machine what the primary does is here at once, unless nothing comes at all.
            values["ReplicationLag"] = float(info.get("master_link_down_since_seconds", 0))
        used = float(info["used_cpu_sys_main_thread"]) + float(info["used_cpu_user_main_thread"])
        before = self._processor.get(node)
        self._processor[node] = (now, used)
        # Less than before: it was started again meanwhile, and counts from zero.
        if before is not None and now > before[0] and used >= before[1]:
            values["EngineCPUUtilization"] = 100 * (used - before[1]) / (now - before[0])
        return values

    def _info(self, port: int) -> dict[str, Any] | None:
        """A node's INFO; None while it, or its secret, is not there."""
        try:
            secret = self._secretsmanager.get_secret_value(SecretId=self._secret)
            password = json.loads(secret["SecretString"])["password"]
            with redis.Redis(
                host="127.0.0.1",
                port=port,
                password=password,
                socket_timeout=_ANSWER_SECONDS,
                retry=Retry(NoBackoff(), 0),  # the alarms wait meanwhile
            ) as client:
                info: dict[str, Any] = client.info("all")
        except (ClientError, redis.RedisError):
            return None
        return info
