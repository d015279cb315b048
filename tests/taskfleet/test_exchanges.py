"""What is routed to an exchange reaches the queue that a broker with exchanges would give it to."""

from __future__ import annotations

from typing import Any

import pytest
from kombu import Exchange, Queue, binding
from taskfleet.errors import UnknownQueue
from taskfleet.publishing.exchanges import queue_of

from tests.support.tiny_fleet import TinyFleet

MEDIA, NEWS, ALL = Exchange("media", "direct"), Exchange("news", "topic"), Exchange("all", "fanout")
QUEUES = (
    Queue("high", MEDIA, routing_key="media.video"),
    Queue("low", NEWS, routing_key="news.#"),
    Queue("etl", NEWS, routing_key="other.*.daily"),
    Queue("picking", [binding(MEDIA, routing_key="media.image"), binding(MEDIA, routing_key="media.sound")]),
    Queue("packing", ALL),
    Queue("delivery", Exchange("words", "topic"), routing_key="#.last"),
)


@pytest.mark.parametrize(
    ("exchange", "key", "queue"),
    [
        ("media", "media.video", "high"),
        ("media", "media.image", "picking"),
        ("media", "media.sound", "picking"),
        ("news", "news", "low"),
        ("news", "news.sport", "low"),
        ("news", "news.#", "low"),  # what Celery publishes with if a route names only the queue
        ("news", "other.a.daily", "etl"),
        ("all", "anything", "packing"),
        ("words", "last", "delivery"),
        ("words", "one.two.last", "delivery"),
    ],
)
def test_the_queue_that_is_bound_gets_it(exchange: str, key: str, queue: str) -> None:
    assert queue_of(exchange, key, QUEUES) == queue


@pytest.mark.parametrize(
    ("exchange", "key"),
    [("media", "media"), ("news", "newspaper"), ("news", "other.a.b.daily"), ("none", "x"), ("media", "")],
)
def test_what_reaches_no_queue_is_refused(exchange: str, key: str) -> None:
    with pytest.raises(UnknownQueue, match="reaches no queue of `task_queues`"):
        queue_of(exchange, key, QUEUES)


def test_what_reaches_several_is_refused_with_their_names() -> None:
    with pytest.raises(UnknownQueue, match="reaches the queues etl, high"):
        queue_of("all", "", [Queue("high", ALL), Queue("etl", ALL)])


@pytest.mark.parametrize(
    ("route", "options"),
    [
        ({"exchange": "media", "routing_key": "media.video"}, {}),
        ({"queue": "high"}, {}),
        (None, {"exchange": "media", "routing_key": "media.video"}),
        (None, {"exchange": MEDIA, "routing_key": "media.video"}),
        (None, {"queue": QUEUES[0]}),
    ],
    ids=str,
)
@pytest.mark.parametrize("create_missing", [True, False])
def test_an_applications_routes_work(
    fleet: TinyFleet, route: Any, options: dict[str, Any], create_missing: bool
) -> None:
    app = fleet.app()
    app.conf.update(task_queues=QUEUES, task_default_queue="low", task_create_missing_queues=create_missing)
    app.conf.task_routes = {"routed": route} if route else None

    app.send_task("routed", **options)

    assert fleet.waiting("high", "r1") == 1
