"""What one look says and publishes, with everything up and with each edge down."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from botocore.model import OperationModel
from taskfleet.contract import figures, metrics, names
from taskfleet.contract import state as keys
from taskfleet.controller.datapoints import Datapoint, datapoints
from taskfleet.controller.fleet_snapshot import FleetSnapshot
from taskfleet.dead_letters.store import DeadLetters
from taskfleet.measuring.failed import Failures
from taskfleet.measuring.fallback import Fallback
from taskfleet.releases import items
from taskfleet.releases.store import Store

from infra import requests
from infra.settings import Pool
from tests.support.processes import free_port
from tests.support.reference import LOCAL
from tests.support.valkey import Valkey
from tests.taskfleet.controller.account import Account, dead
from tests.taskfleet.dead_letters.test_store import letter
from tests.taskfleet.releases.factory import manifest

POOL_METRICS = {m for m in metrics.METRICS if metrics.POOL in m.dimensions}
FLEET_METRICS = set(metrics.METRICS) - POOL_METRICS


def values(points: list[Datapoint], metric: metrics.Metric, pool: str = "low") -> list[float]:
    fleet = metrics.POOL not in metric.dimensions
    return [p.value for p in points if p.metric == metric and (fleet or p.dimensions["Pool"] == pool)]


def test_a_look_has_every_metric_of_the_contract_for_every_pool(current: Account) -> None:
    over = int(current.clock() - 5) // 60 - 1
    for queue in ("high", "etl"):
        runs = figures.name(queue, "a")
        current.redis.hset(
            figures.key(current.name, "blue", over), runs, '{"outcome:succeeded":18,"outcome:lost":2}'
        )

    points = datapoints(current.controller().look())

    assert {p.metric for p in points} == set(metrics.METRICS)
    assert len(points) == len(FLEET_METRICS) + 2 * len(POOL_METRICS)
    assert (values(points, metrics.FAILED_RUNS), values(points, metrics.RETRIED_RUNS)) == ([10], [0])


def test_few_runs_have_no_share_of_failed_ones(current: Account) -> None:
    over = int(current.clock() - 5) // 60 - 1
    key = figures.key(current.name, "blue", over)
    current.redis.hset(key, figures.name("low", "a"), '{"outcome:failed":19}')

    points = datapoints(current.controller().look())

    assert values(points, metrics.FAILED_RUNS) == values(points, metrics.RETRIED_RUNS) == []


def test_a_look_counts_what_is_there(current: Account) -> None:
    current.redis.lpush("low.blue", "{}", "{}", "{}")
    current.redis.lpush("etl.blue\x06\x169", "{}")
    current.redis.hset("unacked", "tag", '[{"headers": {"eta": null}}, "low.blue", "low.blue"]')
    current.redis.zadd("unacked_index", {"tag": time.time()})
    twin = current.sqs.get_queue_url(QueueName=names.fallback_queue(current.name, "etl", "blue"))["QueueUrl"]
    current.sqs.send_message(QueueUrl=twin, MessageBody="x")
    parked = current.sqs.get_queue_url(QueueName=names.dead_letter_queue(current.name, "high"))["QueueUrl"]
    for _ in range(2):
        current.sqs.send_message(QueueUrl=parked, MessageBody="x")
    beat = {keys.KEY: keys.BEAT, "at": current.clock() - 42}
    current.dynamodb.put_item(TableName=names.state_table(current.name), Item=items.wire(beat))

    points = datapoints(current.controller().look())

    assert values(points, metrics.WAITING) == [4]
    assert values(points, metrics.WAITING, "high") == [0]
    assert values(points, metrics.UNACKNOWLEDGED) == [1]
    assert values(points, metrics.FALLBACK_WAITING) == [1]
    assert values(points, metrics.DEAD_LETTERS) == [2], "on SQS, and moved into the store by this look"
    assert values(points, metrics.RUNNING_WORKERS) == [1]
    assert values(points, metrics.BEAT_AGE) == [pytest.approx(42, abs=0.1)]
    assert values(points, metrics.CAPACITY_GAP) == [2]  # 5 messages, 2 slots, age unknown: late
    assert values(points, metrics.OLDEST_AGE) == []  # those messages don't say their age
    assert values(points, metrics.OLDEST_AGE, "high") == [0]


def test_datapoints_reach_cloudwatch_at_high_resolution(current: Account) -> None:
    current.controller().look()
    names_there = {
        m["MetricName"]
        for page in current.cloudwatch.get_paginator("list_metrics").paginate(Namespace=metrics.NAMESPACE)
        for m in page["Metrics"]
        if {"Name": "Environment", "Value": current.name} in m["Dimensions"]
    }
    assert names_there == {m.name for m in metrics.METRICS} - {"FailedRuns", "RetriedRuns"}, (
        "no task has ended"
    )


def test_the_look_is_kept_for_operators(current: Account) -> None:
    look = current.controller().look()
    kept = current.store.read_look()
    assert kept is not None
    assert FleetSnapshot.from_json(kept[0]) == look
    assert (look.current, look.published, look.problems) == ("blue", "blue", ())


def test_primary_broker_down(current: Account) -> None:
    none = redis.Redis(host="127.0.0.1", port=free_port(), socket_connect_timeout=0.3, retry=None)
    look = current.controller(primary=none).look()
    points = datapoints(look)
    assert values(points, metrics.BROKER_UP) == [0]
    for metric in (metrics.WAITING, metrics.UNACKNOWLEDGED, metrics.OLDEST_AGE, metrics.CAPACITY_GAP):
        assert values(points, metric) == [], metric.name
    assert values(points, metrics.FALLBACK_GAP) == [1], "woken before the first message is there"
    assert values(points, metrics.CONTROLLER_TICK) == [1]
    assert values(points, metrics.RUNNING_WORKERS) == [1]
    assert values(points, metrics.FALLBACK_WAITING) == [0]
    assert any("primary broker does not answer" in problem for problem in look.problems)


def test_primary_broker_hangs(current: Account, own_valkey: Valkey) -> None:
    hung = redis.Redis.from_url(own_valkey.url, socket_timeout=0.5, retry=None)
    controller = current.controller(primary=hung)
    assert controller.look().broker_up
    own_valkey.pause()
    look = controller.look()
    assert not look.broker_up
    assert look.took_seconds < 3
    own_valkey.resume()
    assert controller.look().broker_up


def test_fallback_down(current: Account) -> None:
    look = current.controller(fallback=Fallback(dead("sqs"))).look()
    points = datapoints(look)
    assert values(points, metrics.FALLBACK_UP) == [0]
    assert values(points, metrics.FALLBACK_WAITING) == []
    assert values(points, metrics.DEAD_LETTERS) == []
    assert values(points, metrics.WAITING) == [0]


def test_ecs_down(current: Account) -> None:
    points = datapoints(current.controller(ecs=dead("ecs")).look())
    assert values(points, metrics.RUNNING_WORKERS) == values(points, metrics.CAPACITY_GAP) == []
    assert values(points, metrics.FALLBACK_GAP) == values(points, metrics.FAILED_WORKERS) == []
    assert values(points, metrics.WAITING) == [0]


def test_ssm_down(current: Account) -> None:
    look = current.controller(ssm=dead("ssm")).look()
    assert (look.published, look.current) == (None, "blue")
    assert values(datapoints(look), metrics.WAITING) == [0]
    assert current.states() == {"blue": "current"}


def test_state_table_down_from_the_start_still_ticks(current: Account) -> None:
    look = current.controller(store=Store(dead("dynamodb"), current.name)).look()
    points = datapoints(look)
    assert values(points, metrics.CONTROLLER_TICK) == [1]
    assert values(points, metrics.BROKER_UP) == [1]
    assert values(points, metrics.BEAT_AGE) == values(points, metrics.DRAIN_OVERDUE) == []


def test_state_table_down_later_still_measures_the_releases_it_knew(current: Account) -> None:
    store = Store(current.dynamodb, current.name)
    controller = current.controller(store=store)
    controller.look()
    store._dynamodb = dead("dynamodb")
    current.redis.lpush("high.blue", "{}")
    points = datapoints(controller.look())
    assert values(points, metrics.WAITING, "high") == [1]


def test_cloudwatch_down_still_keeps_the_look(current: Account) -> None:
    current.clock.now += 10
    look = current.controller(cloudwatch=dead("cloudwatch")).look()
    kept = current.store.read_look()
    assert kept is not None
    assert kept[1] == pytest.approx(look.at, abs=0.01)


def test_a_gate_task_that_no_broker_takes_is_a_problem_and_is_sent_at_the_next_look(account: Account) -> None:
    account.deploy("blue")
    controller = account.controller()
    account.gates.url = f"redis://127.0.0.1:{free_port()}/0"
    look = controller.look()
    assert any(problem.startswith("SendGate failed") for problem in look.problems)
    account.gates.url = account.valkey.url
    account.pass_time(controller, 1)
    assert len(account.gates.sent) == 6
    account.pass_time(controller, 1)
    assert len(account.gates.sent) == 6  # those that were sent wait for their proof


def test_only_new_dead_letters_are_news(current: Account) -> None:
    store, now = DeadLetters(current.dynamodb, current.name), current.clock()
    for age in (10, 299, 301, 86_400):
        store.put(letter(at=now - age, queue="low"))

    points = datapoints(current.controller().look())

    assert values(points, metrics.NEW_DEAD_LETTERS) == [2]
    assert values(points, metrics.DEAD_LETTERS) == [4]


def test_a_look_asks_for_as_much_as_its_bill_says(current: Account) -> None:
    """`infra.requests`, which knows settings: the pools and queues of this release."""
    asked, units, look_bytes = Counter[str](), 0.0, 0

    def count(params: dict[str, Any], model: OperationModel, **_: Any) -> None:
        nonlocal units, look_bytes
        asked[model.service_model.service_name] += 1
        if model.name == "BatchGetItem":
            units += sum(len(table["Keys"]) for table in params["RequestItems"].values())
        elif model.name == "Query":
            units += 1 if params.get("ConsistentRead") else 0.5
        elif model.name == "PutItem":
            look_bytes = len(params["Item"]["look"]["S"])

    controller = current.controller()
    controller.look()
    clients = (current.sqs, current.ssm, current.dynamodb, current.cloudwatch)
    for client in clients:
        client.meta.events.register("provide-client-params.*", count)
    try:
        controller.look()
    finally:
        for client in clients:
            client.meta.events.unregister("provide-client-params.*", count)

    pools = tuple(Pool(name=pool.name, queues=pool.queues) for pool in manifest("blue").pools)
    expected = requests.of_a_look(replace(LOCAL, pools=pools, default_queue=pools[0].queues[0]))
    assert asked["sqs"] == expected.sqs
    assert asked["cloudwatch"] == expected.put_metric_data
    assert units == expected.dynamodb_reads
    assert look_bytes / 1024 == pytest.approx(expected.dynamodb_writes, abs=1)
    assert asked["ssm"] == 4, "free"


def test_workers_that_end_unasked_are_counted_and_the_others_not(current: Account) -> None:
    ecs, now = _StoppedTasks(current.ecs), current.clock()
    for service, age, code, reason in (
        ("low-blue", 10, "EssentialContainerExited", "Essential container in task exited"),
        ("low-blue", 200, "ServiceSchedulerInitiated", "Task failed container health checks"),
        ("low-blue-fallback", 20, "TaskFailedToStart", "CannotPullContainerError"),
        ("low-blue", 301, "EssentialContainerExited", "long ago"),
        ("low-blue", 10, "ServiceSchedulerInitiated", "Scaling activity initiated by deployment"),
        ("low-blue", 10, "SpotInterruption", "Your Spot Task was interrupted."),
        ("low-blue", 10, "UserInitiated", "Task stopped by user"),
    ):
        ecs.stopped(service, now - age, code, reason)
    controller = current.controller(failures=Failures(ecs))

    for _ in range(2):
        points = datapoints(controller.look())
        assert values(points, metrics.FAILED_WORKERS) == [3]
        assert values(points, metrics.FAILED_WORKERS, "high") == [0]
    assert ecs.described == 1, "no task is asked about twice"


class _StoppedTasks:
    """ECS with stopped tasks, which the emulated one has only from the agent."""

    def __init__(self, ecs: Any) -> None:
        self._ecs, self._tasks, self.described = ecs, dict[str, dict[str, Any]](), 0

    def stopped(self, service: str, at: float, code: str, reason: str) -> None:
        arn = f"arn:aws:ecs:us-east-1:000000000000:task/c/{len(self._tasks)}"
        self._tasks[arn] = {
            "taskArn": arn,
            "group": f"service:{service}",
            "stoppedAt": datetime.fromtimestamp(at, UTC),
            "stopCode": code,
            "stoppedReason": reason,
        }

    def get_paginator(self, _operation: str) -> _StoppedTasks:
        return self

    def paginate(self, **_request: object) -> list[dict[str, list[str]]]:
        return [{"taskArns": list(self._tasks)}]

    def describe_tasks(self, *, cluster: str, tasks: list[str]) -> dict[str, list[dict[str, Any]]]:
        self.described += 1
        return {"tasks": [self._tasks[arn] for arn in tasks]}
