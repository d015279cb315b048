"""``python -m taskfleet controller``: a look every ten seconds, until it is told to stop."""

from __future__ import annotations

import logging
import signal
import threading
import time
from contextlib import ExitStack
from types import FrameType

from taskfleet import health, logs, scraped
from taskfleet.contract.environment import METRICS_PORT
from taskfleet.contract.metrics import LOOK_SECONDS
from taskfleet.controller.clients import connect
from taskfleet.controller.controller import Controller
from taskfleet.controller.prometheus import Looks, Tasks
from taskfleet.settings import ControllerSettings

logger = logging.getLogger(__name__)
# Of a period that is left for the look and for its metrics to arrive.
BEFORE_PERIOD_ENDS = 0.15


def run(settings: ControllerSettings) -> int:
    """Look until SIGTERM or SIGINT. Returns the exit code."""
    logs.configure(level=settings.log_level)
    stop = threading.Event()

    def stopped(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stopped)
    controller = Controller(connect(settings))
    with ExitStack() as closing:
        try:
            served = Looks(lambda: controller.last), Tasks(lambda: controller.tasks.totals)
            closing.callback(scraped.serve(*served, port=settings.metrics_port))
        except OSError as error:
            # CloudWatch still gets what alarms need; scaling must not stop for a scraper.
            logger.error(
                "/metrics is not served: port %d: %s; another port: %s",
                settings.metrics_port,
                error,
                METRICS_PORT.name,
            )
        logger.info("the controller of %s looks every %d s", settings.environment, LOOK_SECONDS)
        look_until(stop, controller)
    logger.info("the controller stops")
    return 0


def look_until(stop: threading.Event, controller: Controller, *, every_seconds: float = LOOK_SECONDS) -> None:
    """Look at a fixed rhythm: by the clock, shortly before the end of a period that CloudWatch's alarms see.

    The alarms then act on the newest look. A look that took longer than a period leaves the next one out.
    """
    while not stop.is_set():
        _look(controller)
        stop.wait(until_next(time.time(), every_seconds))


def until_next(now: float, every_seconds: float) -> float:
    """Seconds until `BEFORE_PERIOD_ENDS` of the next period."""
    before = every_seconds * BEFORE_PERIOD_ENDS
    return every_seconds - (now + before) % every_seconds


def _look(controller: Controller) -> None:
    health.stamp("looking")
    try:
        controller.look()
    except Exception:
        # A fault of ours in one look must not end all looks. It isn't hidden either: this look
        # published no tick, so `controller-silent` fires if the next ones fail too.
        logger.exception("a look failed")
