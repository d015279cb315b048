"""Which queue an exchange and a routing key mean: neither broker has exchanges, an application's routes may.

As AMQP's brokers do it, from the bindings of the application's ``task_queues``; pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from kombu.entity import Queue

from taskfleet.errors import UnknownQueue


def queue_of(exchange: str, routing_key: str, queues: Iterable[Queue]) -> str:
    """The name of the one queue that a message to ``exchange`` reaches. Raises `UnknownQueue`."""
    reached = sorted({queue.name for queue in queues if _reaches(queue, exchange, routing_key)})
    if len(reached) == 1:
        return str(reached[0])
    found = f"reaches the queues {', '.join(reached)}" if reached else "reaches no queue of `task_queues`"
    raise UnknownQueue(
        f"exchange {exchange!r} with routing key {routing_key!r} {found}, and a task goes to one queue. "
        "Nothing was published. Name it with `queue=` or in `task_routes`; publish to several one by one."
    )


def _reaches(queue: Queue, exchange: str, routing_key: str) -> bool:
    bound = [(queue.exchange, queue.routing_key)]
    bound += [(binding.exchange, binding.routing_key) for binding in queue.bindings or ()]
    return any(
        by is not None and by.name == exchange and _matches(by.type, key or "", routing_key)
        for by, key in bound
    )


def _matches(kind: str, binding: str, routing_key: str) -> bool:
    if kind == "fanout":
        return True
    if kind == "topic":
        # A star is one word, a hash any number of them, none included.
        pattern = re.escape(binding).replace(r"\*", r"[^.]+")
        pattern = pattern.replace(r"\.\#", r"(\..+)?").replace(r"\#\.", r"(.+\.)?").replace(r"\#", ".*")
        return re.fullmatch(pattern, routing_key) is not None
    return binding == routing_key
