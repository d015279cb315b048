"""What the stacks of an environment make, and give a worker, made by hand in an emulated account."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from taskfleet.contract import dead_letters, etas, leases, names, parameters, state
from taskfleet.contract.environment import PRIMARY
from taskfleet.contract.manifest import ReleaseManifest
from taskfleet.settings import ProducerSettings, WorkerSettings
from taskfleet.testing.servers import Account


def create_base(account: Account, environment: str, *, password: str, queues: Iterable[str]) -> None:
    """The broker's secret, the tables, and a dead-letter queue for each queue."""
    secret = json.dumps({"username": "default", "password": password})
    account.client("secretsmanager").create_secret(Name=names.broker_secret(environment), SecretString=secret)
    dynamodb = account.client("dynamodb")
    for table in (names.state_table(environment), names.tools_table(environment)):
        dynamodb.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": state.KEY, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": state.KEY, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    create_dead_letters(dynamodb, environment)
    create_producers(dynamodb, environment)
    create_etas(dynamodb, environment)
    for queue in queues:
        account.client("sqs").create_queue(QueueName=names.dead_letter_queue(environment, queue))


def create_dead_letters(dynamodb: Any, environment: str) -> None:
    """The table of dead letters. `tests/infra/test_tables.py` holds it to the template."""
    types = {dead_letters.ID: "S", dead_letters.PART: "N", dead_letters.QUEUE: "S", dead_letters.PARKED: "S"}
    dynamodb.create_table(
        TableName=names.dead_letters_table(environment),
        KeySchema=key_schema(dead_letters.ID, dead_letters.PART),
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": type} for name, type in types.items()],
        GlobalSecondaryIndexes=[
            {
                "IndexName": dead_letters.INDEX,
                "KeySchema": key_schema(dead_letters.QUEUE, dead_letters.PARKED),
                "Projection": {
                    "ProjectionType": "INCLUDE",
                    "NonKeyAttributes": list(dead_letters.LISTED),
                },
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )


def create_producers(dynamodb: Any, environment: str) -> None:
    """The table of producers' leases."""
    keys = (leases.PARTITION, leases.PROCESS)
    dynamodb.create_table(
        TableName=names.producers_table(environment),
        KeySchema=key_schema(*keys),
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in keys],
        BillingMode="PAY_PER_REQUEST",
    )


def create_etas(dynamodb: Any, environment: str) -> None:
    """The table of far ETAs."""
    keys = (etas.SHARD, etas.POSITION)
    dynamodb.create_table(
        TableName=names.etas_table(environment),
        KeySchema=key_schema(*keys),
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in keys],
        BillingMode="PAY_PER_REQUEST",
    )


def key_schema(partition: str, sort: str) -> list[dict[str, str]]:
    """In CloudFormation's words and DynamoDB's, which are the same."""
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]


def create_release(account: Account, environment: str, manifest: ReleaseManifest) -> None:
    """A release's queues on SQS, and its manifest."""
    for pool in manifest.pools:
        for queue in pool.queues:
            name = names.fallback_queue(environment, queue, manifest.release)
            account.client("sqs").create_queue(QueueName=name)
    put(account, parameters.release_manifest(environment, manifest.release), manifest.to_json())


def promote(account: Account, environment: str, release: str) -> None:
    """What the controller does: producers publish to this release from now on."""
    put(account, parameters.current_release(environment), release)


def put(account: Account, name: str, value: str) -> None:
    """A parameter, new or changed."""
    account.client("ssm").put_parameter(Name=name, Value=value, Type="String", Overwrite=True)


def sqs_depth(account: Account, queue: str) -> int:
    """Messages in an SQS queue, in flight and delayed ones included."""
    sqs = account.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    wanted = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
    ]
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)["Attributes"]
    return sum(int(counts[name]) for name in wanted)


def worker(
    producer: ProducerSettings,
    *,
    app: str,
    release: str,
    queues: tuple[str, ...],
    pool: str = "low",
    broker: str = PRIMARY,
    concurrency: int = 2,
) -> WorkerSettings:
    """A worker's settings, with a short time to end."""
    return WorkerSettings(
        **vars(producer),
        app=app,
        release=release,
        pool=pool,
        queues=queues,
        broker=broker,
        execution="prefork",
        concurrency=concurrency,
        child_memory_mib=300,
        max_tasks_per_child=1000,
        visibility_timeout_seconds=3600,
        soft_time_limit_seconds=300,
        time_limit_seconds=330,
        soft_shutdown_seconds=5,
    )
