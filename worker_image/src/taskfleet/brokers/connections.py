"""How the two brokers are reached: URLs and transport options, for producers and for workers.

The two need different bounds: a producer has a person waiting and a second broker to turn to; a worker
waits for messages on purpose and must not take a slow answer for a dead broker.
"""

from __future__ import annotations

from typing import Any

import redis
from kombu.connection import Connection
from redis.backoff import NoBackoff
from redis.retry import Retry

from taskfleet import aws
from taskfleet.brokers import FALLBACK_TRANSPORT, PRIMARY_TRANSPORT, credentials
from taskfleet.brokers.redis.deadline import SSLConnection
from taskfleet.contract import names
from taskfleet.settings import ProducerSettings, WorkerSettings

# Verified against the system's trust store (ElastiCache's certificate is a public one); locally
# SSL_CERT_FILE names the local authority.
TLS: dict[str, Any] = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}

PRODUCER_TIMEOUT_SECONDS = 0.3
# One step of opening a connection to publish over, or of sending what is published.
PUBLISHING_STEP_SECONDS = 0.5
WORKER_TIMEOUT_SECONDS = 3.0
RESTORE_EVERY_SECONDS = 5


def primary_url(settings: ProducerSettings) -> str:
    """The URL that Celery gets. No password: the credential provider that it names reads that."""
    provider = "taskfleet.brokers.credentials:shared"
    return f"rediss://{settings.broker_host}:{settings.broker_port}/0?credential_provider={provider}"


def primary_producer_options() -> dict[str, Any]:
    """A publish to a dead, mute or unreachable broker ends after 0.3 s (FACTS, 1: Publishing)."""
    return {
        "socket_timeout": PRODUCER_TIMEOUT_SECONDS,
        "socket_connect_timeout": PRODUCER_TIMEOUT_SECONDS,
        "socket_keepalive": True,
        "retry_on_timeout": False,  # the second try is the other broker
        "max_retries": 0,  # of connecting; kombu's default never ends
    }


def primary_worker_options(settings: WorkerSettings) -> dict[str, Any]:
    """A peer that vanished without a word is noticed within 15 s; by default it never is (FACTS, 1)."""
    return {
        "socket_timeout": WORKER_TIMEOUT_SECONDS,
        "socket_connect_timeout": 3.0,
        "socket_keepalive": True,
        "health_check_interval": 10,
        # Until what a dead *stock* worker held is given to another one. A worker of ours has a lease of
        # seconds instead, which it renews (`taskfleet.brokers.redis.session`).
        "visibility_timeout": settings.visibility_timeout_seconds,
        # Looked for every 5 s; the default looks every 100 s.
        "unacked_restore_interval": RESTORE_EVERY_SECONDS,
        "unacked_restore_throttle": 1,
    }


def fallback_options(settings: ProducerSettings) -> dict[str, Any]:
    """SQS. The transport makes no queue and lists none: they belong to the release's stack."""
    return {
        "max_retries": 0,  # of connecting; kombu's default never ends
        "region": aws.region(),  # or kombu falls back to us-east-1 without a word
        # kombu makes `low.r1` into `<prefix>low-r1`: the twin's name, while a task's routing key,
        # and so its retries, keep the name of the versioned queue on either broker.
        "queue_name_prefix": names.fallback_prefix(settings.environment),
    }


def fallback_worker_options(settings: WorkerSettings) -> dict[str, Any]:
    """As `fallback_options`, for a consumer."""
    return fallback_options(settings) | {
        "max_retries": None,
        "polling_interval": 0,  # 1, the default, caps a worker at its prefetch count per second (FACTS, 2)
        "wait_time_seconds": 10,
        "visibility_timeout": settings.visibility_timeout_seconds,
    }


def primary_publishing(settings: ProducerSettings) -> SSLConnection:
    """What `taskfleet.brokers.redis.pipeline` publishes over; it is not open yet."""
    return SSLConnection(
        host=settings.broker_host,
        port=settings.broker_port,
        credential_provider=credentials.shared(),
        socket_timeout=PUBLISHING_STEP_SECONDS,
        socket_connect_timeout=PUBLISHING_STEP_SECONDS,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),  # the second try is the other broker
        **TLS,
    )


def primary_client(settings: ProducerSettings, *, timeout_seconds: float, **more: Any) -> redis.Redis:
    """A client for commands of our own; ``more`` is redis-py's. Nothing is opened until it is used."""
    pool = redis.ConnectionPool(
        connection_class=SSLConnection,
        host=settings.broker_host,
        port=settings.broker_port,
        credential_provider=credentials.shared(),
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        socket_keepalive=True,
        **TLS,
        **more,
    )
    return redis.Redis(connection_pool=pool)


def primary_producer_connection(settings: ProducerSettings) -> Connection:
    """A kombu connection for publishing; nothing is opened until it is used."""
    return Connection(
        primary_url(settings),
        transport=PRIMARY_TRANSPORT,
        ssl=TLS,
        transport_options=primary_producer_options(),
        connect_timeout=PRODUCER_TIMEOUT_SECONDS,
    )


def fallback_producer_connection(settings: ProducerSettings) -> Connection:
    """A kombu connection for publishing to SQS, over the process's one client; a queue is looked up once."""
    shared: dict[str, Any] = {"client": aws.client("sqs", aws.PROMPT), "queue_urls": {}}
    options = fallback_options(settings) | shared
    return Connection("sqs://", transport=FALLBACK_TRANSPORT, transport_options=options)
