"""Log lines are JSON, and say which task, queue, release and pool they are about."""

from __future__ import annotations

import json
import logging
import sys

from celery import Celery
from celery._state import _task_stack
from taskfleet.logs import JsonFormatter


def line(message: str, *args: object, **more: object) -> dict[str, object]:
    """What the formatter makes of a record."""
    record = logging.LogRecord("shop", logging.WARNING, __file__, 1, message, args, None)
    record.__dict__.update(more)
    made = JsonFormatter(release="s1", pool="low").format(record)
    assert "\n" not in made
    parsed: dict[str, object] = json.loads(made)
    return parsed


def test_a_line_has_time_level_and_where_it_comes_from() -> None:
    got = line("two\nlines of %s", "text")

    assert got["message"] == "two\nlines of text"
    assert (got["level"], got["logger"], got["release"], got["pool"]) == ("WARNING", "shop", "s1", "low")
    assert str(got["time"]).endswith("+00:00")


def test_celerys_own_lines_name_the_task_that_they_report_on() -> None:
    got = line("received", data={"id": "t-1", "name": "shop.order"})

    assert (got["task"], got["task_id"]) == ("shop.order", "t-1")


def test_an_exception_is_kept_whole() -> None:
    try:
        raise RuntimeError("no stock")
    except RuntimeError:
        got = line("failed", exc_info=sys.exc_info())

    assert "RuntimeError: no stock" in str(got["exception"])


def test_a_task_that_logs_is_named_with_its_queue() -> None:
    app = Celery("logs", set_as_current=False)
    seen: list[dict[str, object]] = []

    @app.task(name="shop.order", bind=True)
    def order(self: object) -> None:
        seen.append(line("in a task"))

    order.push_request(id="t-2", delivery_info={"routing_key": "low.s1"})
    _task_stack.push(order)
    try:
        order.run()
    finally:
        _task_stack.pop()
        order.pop_request()

    assert (seen[0]["task"], seen[0]["task_id"], seen[0]["queue"]) == ("shop.order", "t-2", "low")
