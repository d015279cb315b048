"""``python -m local.alarms``: alarms, scaling and the queues' metrics for the account at AWS_ENDPOINT_URL.

Runs until SIGTERM or SIGINT. An account that does not answer is said once, and asked again every few
seconds until it does.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.alarms.rounds import Rounds
from local.scaling.invoke import Scaler
from local.sqs_metrics import QueueMetrics

log = logging.getLogger("alarms")

# High-resolution alarms are evaluated every 10 s, at the end of a period. A second later its samples
# have arrived.
ROUND_SECONDS = 10
SETTLE_SECONDS = 1.0
_AGAIN_SECONDS = 3.0
_CONFIG = Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1})


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
    queues = QueueMetrics(sqs=_client("sqs"), cloudwatch=cloudwatch)
    _run(stopped, rounds, queues)
    return 0


def _run(stopped: threading.Event, rounds: Rounds, queues: QueueMetrics) -> None:
    answered = True
    while not stopped.is_set():
        now = time.time() - SETTLE_SECONDS
        boundary = now - now % ROUND_SECONDS
        try:
            queues.publish_if_due(boundary)
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


def _client(service: str) -> Any:
    return boto3.client(service, config=_CONFIG)


if __name__ == "__main__":
    sys.exit(main())
