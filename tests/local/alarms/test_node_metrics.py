"""The node's own metrics, from a real valkey-server."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest
from taskfleet.contract import names

from local.node_metrics import NodeMetrics
from tests.local.alarms.account import Account
from tests.support.processes import free_port
from tests.support.valkey import Valkey


@pytest.fixture
def environment(account: Account, valkey: Valkey) -> str:
    """With the broker's password in its secret."""
    name = f"metrics{uuid.uuid4().hex[:8]}"
    secret = json.dumps({"username": "default", "password": valkey.password})
    account.client("secretsmanager").create_secret(Name=names.broker_secret(name), SecretString=secret)
    return name


def values(account: Account, environment: str, metric: str) -> list[float]:
    found: Any = account.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/ElastiCache",
        MetricName=metric,
        Dimensions=[{"Name": "CacheClusterId", "Value": names.broker_nodes(names.broker(environment), 1)[0]}],
        StartTime=time.time() - 3600,
        EndTime=time.time() + 3600,
        Period=60,
        Statistics=["Maximum"],
    )
    return [point["Maximum"] for point in found["Datapoints"]]


def measured(account: Account, environment: str, port: int) -> NodeMetrics:
    clients = {name: account.client(name) for name in ("secretsmanager", "cloudwatch")}
    nodes = dict.fromkeys(names.broker_nodes(names.broker(environment), 1), port)
    return NodeMetrics(nodes=nodes, secret=names.broker_secret(environment), **clients)


def test_memory_and_processor_are_percentages_of_the_node(
    account: Account, valkey: Valkey, environment: str
) -> None:
    minute = time.time() // 60 * 60
    node = measured(account, environment, valkey.port)
    with valkey.client() as client:
        client.config_set("maxmemory", client.info("memory")["used_memory"] * 2)
        try:
            for now in (minute - 60, minute - 50, minute):
                node.publish_if_due(now)
        finally:
            client.config_set("maxmemory", 0)

    memory = values(account, environment, "DatabaseMemoryUsagePercentage")
    assert memory == [pytest.approx(50, abs=15)] * 2
    (processor,) = values(account, environment, "EngineCPUUtilization")
    assert 0 <= processor < 100


def test_a_node_that_does_not_answer_publishes_nothing(account: Account, environment: str) -> None:
    measured(account, environment, free_port()).publish_if_due(time.time())

    assert values(account, environment, "DatabaseMemoryUsagePercentage") == []
