"""``python -m local.alarms``: alarms, scaling and AWS's own metrics for AWS_ENDPOINT_URL's account.

Runs until SIGTERM or SIGINT. An account that does not answer is said once, and asked again every few
seconds until it does.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError
from taskfleet.contract import names

from local.account import ENVIRONMENT
from local.alarms.rounds import Rounds
from local.node_metrics import NodeMetrics
from local.places import Places
from local.ports import Ports
from local.scaling.invoke import Scaler
from local.sqs_metrics import QueueMetrics

log = logging.getLogger("alarms")

# High-resolution alarms are evaluated every 10 s, at the end of a period. A second later its samples
# have arrived.
ROUND_SECONDS = 10
SETTLE_SECONDS = 1.0
_AGAIN_SECONDS = 3.0
_CONFIG = Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1})


class Source(Protocol):
    """Something in AWS that publishes metrics of its own."""

    def publish_if_due(self, now: float) -> None:
        """Publish if it is time; ``now`` in seconds since the epoch."""


def main() -> int:
    """Work until stopped; returns the exit code."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.INFO)
    logging.getLogger("botocore").setLevel(logging.WARNING)  # it says where it found its settings
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    cloudwatch = _client("cloudwatch")
    scaler = Scaler(autoscaling=_client("application-autoscaling"), ecs=_client("ecs"))
    rounds = Rounds(cloudwatch=cloudwatch, scaler=scaler)
    sources: list[Source] = [QueueMetrics(sqs=_client("sqs"), cloudwatch=cloudwatch)]
    ports = Ports.load(Places.from_environment().ports)
    if ports is not None:  # else there is no broker: the account alone is being served
        broker = dict(
            zip(names.broker_nodes(names.broker(ENVIRONMENT), 2), (ports.valkey, ports.replica), strict=True)
        )
        results = dict.fromkeys(names.broker_nodes(names.results_cache(ENVIRONMENT), 1), ports.results_valkey)
        sources += [
            NodeMetrics(
                nodes=nodes, secret=secret, secretsmanager=_client("secretsmanager"), cloudwatch=cloudwatch
            )
            for nodes, secret in (
                (broker, names.broker_secret(ENVIRONMENT)),
                (results, names.results_secret(ENVIRONMENT)),
            )
        ]
    _run(stopped, rounds, sources)
    return 0


def _run(stopped: threading.Event, rounds: Rounds, sources: Sequence[Source]) -> None:
    answered = True
    while not stopped.is_set():
        now = time.time() - SETTLE_SECONDS
        boundary = now - now % ROUND_SECONDS
        try:
            for source in sources:
                _publish(source, boundary)
            rounds.run(boundary)
            wait = boundary + ROUND_SECONDS + SETTLE_SECONDS - time.time()
        except (BotoCoreError, ClientError, OSError) as error:
            if answered:
                log.warning("the account does not answer, alarms keep their states meanwhile: %s", error)
            answered, wait = False, _AGAIN_SECONDS
        else:
            if not answered:
                log.info("the account answers again")
            answered = True
        stopped.wait(max(wait, 0.1))


def _publish(source: Source, now: float) -> None:
    """A service that is down costs its own metrics, not the alarms."""
    try:
        source.publish_if_due(now)
    except (ClientError, ReadTimeoutError) as error:
        log.warning("no metrics of %s: %s", type(source).__name__, error)


def _client(service: str) -> Any:
    return boto3.client(service, config=_CONFIG)


if __name__ == "__main__":
    sys.exit(main())
