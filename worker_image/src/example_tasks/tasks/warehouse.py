"""A pipeline whose stages have queues of their own, so that a slow stage gets its own workers.

picking → packing → delivery: each stage hands the order on to the next one's queue.
"""

from __future__ import annotations

import contextlib
import time

from celery import chain
from celery.canvas import Signature
from celery.utils.log import get_task_logger
from taskfleet import gate, idempotency_key

from example_tasks.app import app
from example_tasks.work import orders, parcels

logger = get_task_logger(__name__)

# Each stage waits for a machine or a person; threads wait cheaply.
STAGE_SECONDS = 0.05


def order(order_id: int) -> Signature:
    """An order's way through the warehouse; call ``.delay()`` on it."""
    return chain(pick.s([], order_id=order_id), pack.s(order_id=order_id), deliver.s(order_id=order_id))


@app.task(name="example_tasks.warehouse.database_answers")
@gate
def database_answers(**_later: object) -> None:
    """Whether the parcels' database has its tables: a release whose workers can't tell never takes over."""
    with contextlib.closing(parcels.connect()) as database:
        parcels.handed_over(database)


@app.task(name="example_tasks.warehouse.pick")
def pick(history: list[str], order_id: int, **_later: object) -> list[str]:
    """Take the goods off the shelf."""
    time.sleep(STAGE_SECONDS)
    return orders.advance(order_id, history, "picked")


@app.task(name="example_tasks.warehouse.pack")
def pack(history: list[str], order_id: int, **_later: object) -> list[str]:
    """Put them into a box."""
    time.sleep(STAGE_SECONDS)
    return orders.advance(order_id, history, "packed")


@app.task(name="example_tasks.warehouse.deliver")
def deliver(history: list[str], order_id: int, **_later: object) -> list[str]:
    """Hand the box over: once, though this may run again. Both runs return the same."""
    time.sleep(STAGE_SECONDS)
    with contextlib.closing(parcels.connect()) as database:
        if not parcels.hand_over(database, order_id, key=idempotency_key()):
            logger.info("order %s: its parcel was handed over before", order_id)
    return orders.advance(order_id, history, "delivered")
