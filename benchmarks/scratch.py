"""An environment of its own inside the local fleet's account: the same brokers, and no worker.

So that what is measured is a publish, and not the workers that would take it away again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import redis
from taskfleet.contract import names, parameters
from taskfleet.contract.environment import BROKER_HOST, BROKER_PORT, ENVIRONMENT
from taskfleet.contract.limits import redis_lists
from taskfleet.contract.manifest import PoolManifest, ReleaseManifest

from drills.fleet import Fleet

NAME = "bench"
RELEASE = "r1"
QUEUE = "bench"
CONFIRMED = "confirmed"  # a publish to it waits for a replica of the broker
PLAIN_QUEUE = "bench-plain"
PLAIN_URL = "TASKFLEET_BENCH_PLAIN_URL"  # what plain Celery is given as its broker URL


@contextlib.contextmanager
def environment(fleet: Fleet) -> Iterator[dict[str, str]]:
    """The variables of a producer process in it. Everything that was made is removed afterwards."""
    secrets, ssm = fleet.client("secretsmanager"), fleet.client("ssm")
    secret = secrets.get_secret_value(SecretId=names.broker_secret(fleet.environment[ENVIRONMENT.name]))
    password = json.loads(secret["SecretString"])["password"]
    parameters_made = _parameters()
    secrets.create_secret(Name=names.broker_secret(NAME), SecretString=secret["SecretString"])
    try:
        for name, value in parameters_made.items():
            ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
        yield {
            **fleet.environment,
            ENVIRONMENT.name: NAME,
            PLAIN_URL: _url(fleet.environment, password),
        }
    finally:
        secrets.delete_secret(SecretId=names.broker_secret(NAME), ForceDeleteWithoutRecovery=True)
        for name in parameters_made:
            with contextlib.suppress(ssm.exceptions.ParameterNotFound):
                ssm.delete_parameter(Name=name)
        _empty_queues(fleet.environment, password)


def _parameters() -> dict[str, str]:
    queues = (QUEUE, CONFIRMED)
    pool = PoolManifest(QUEUE, queues, (), slots=1, min_workers=0, max_workers=1, latency_target_seconds=60)
    manifest = ReleaseManifest(RELEASE, "none", (pool,), drain_deadline_seconds=600, confirmed=(CONFIRMED,))
    return {
        parameters.release_manifest(NAME, RELEASE): manifest.to_json(),
        parameters.current_release(NAME): RELEASE,
    }


def _url(variables: Mapping[str, str], password: str) -> str:
    return f"rediss://default:{password}@{variables[BROKER_HOST.name]}:{variables[BROKER_PORT.name]}/0"


def client(url: str, variables: Mapping[str, str]) -> Any:
    """A client of the broker, to look at its queues."""
    return redis.Redis.from_url(url, ssl_ca_certs=variables["SSL_CERT_FILE"], socket_timeout=10)


@contextlib.contextmanager
def database(variables: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The same with plain Celery in a database of its own: what it leaves behind meets nobody's worker."""
    url = variables[PLAIN_URL].removesuffix("/0") + "/1"
    try:
        yield {**variables, PLAIN_URL: url}
    finally:
        with client(url, variables) as broker:
            broker.flushdb()


def remove_sqs_queues(fleet: Fleet, prefix: str) -> None:
    """What a failover list made in SQS."""
    sqs = fleet.client("sqs")
    for url in sqs.list_queues(QueueNamePrefix=prefix).get("QueueUrls", ()):
        sqs.delete_queue(QueueUrl=url)


def _empty_queues(variables: Mapping[str, str], password: str) -> None:
    with client(_url(variables, password), variables) as broker:
        ours = (names.versioned_queue(queue, RELEASE) for queue in (QUEUE, CONFIRMED))
        for queue in (*ours, PLAIN_QUEUE):
            broker.delete(*redis_lists(queue))
