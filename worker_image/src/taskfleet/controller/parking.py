"""Parks what is left in a release that somebody retires with ``--park``: some of it in each look."""

from __future__ import annotations

import logging

from taskfleet.controller.clients import Clients
from taskfleet.dead_letters import emptying
from taskfleet.releases.model import Record

logger = logging.getLogger(__name__)


def park(clients: Clients, record: Record) -> None:
    """Move messages of its queues to the dead-letter store. Errors of AWS and of Redis pass through."""
    reason = f"release {record.release} was retired by {record.retiring} with it in its queue"
    moved = 0
    for queue in record.manifest.queues:
        moved += emptying.redis_queue(clients.primary, clients.letters, queue, record.release, reason)
        on_sqs = emptying.sqs_queue(
            clients.fallback.sqs, clients.letters, clients.environment, queue, record.release, reason
        )
        moved += sum(1 for _ in on_sqs)
    if moved:
        logger.info("%d messages of release %s were parked", moved, record.release)
