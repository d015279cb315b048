"""The two applications that `outage` compares ours with: one broker, and a failover list of two."""

from __future__ import annotations

import json
import os
import ssl
import time
from pathlib import Path

from celery import Celery

from benchmarks import scratch
from benchmarks.apps import NOTES

DONE = "benchmarks.done"
KINDS = ("plain", "failover")


def queue(kind: str) -> str:
    """Where its tasks go, on either broker. SQS allows no dots."""
    return f"bench-outage-{kind}"


def _app(kind: str) -> Celery:
    redis = os.environ.get(scratch.PLAIN_URL, "rediss://")
    broker = redis if kind == "plain" else [redis, "sqs://"]
    app = Celery(kind, broker=broker, set_as_current=False)
    app.conf.broker_use_ssl = {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    app.conf.broker_transport_options = {"region": os.environ.get("AWS_REGION", "us-east-1")}
    app.conf.broker_connection_retry_on_startup = True
    app.conf.task_ignore_result = True
    app.conf.task_default_queue = queue(kind)

    @app.task(name=DONE)  # type: ignore[untyped-decorator]
    def done(n: int) -> None:
        line = json.dumps({"n": n, "at": time.time()})
        with Path(os.environ[NOTES]).open("a") as notes:
            notes.write(f"{line}\n")

    return app


APPS = {kind: _app(kind) for kind in KINDS}
plain, failover = APPS["plain"], APPS["failover"]
