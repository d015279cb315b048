"""Log lines are JSON, and say which task, queue, release and pool they are about."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from celery import Celery
from celery._state import _task_stack
from taskfleet import json_line
from taskfleet.logs import JsonFormatter


def line(message: str, *args: object, **more: object) -> dict[str, object]:
    """What the formatter makes of a record."""
    record = logging.LogRecord("shop", logging.WARNING, __file__, 1, message, args, None)
    record.__dict__.update(more)
    made = JsonFormatter(release="s1", pool="low").format(record)
    assert "\n" not in made
    parsed: dict[str, object] = json.loads(made.encode())
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


def test_the_stack_that_a_call_asks_for_is_kept() -> None:
    assert "Stack (most recent" in str(line("where", stack_info="Stack (most recent call last): …")["stack"])


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


class Hostile:
    """Can't be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")

    __str__ = __repr__


class HostileError(Exception):
    """Neither can this."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def _nested(levels: int) -> Any:
    value: Any = "end"
    for _ in range(levels):
        value = [value]
    return value


_CIRCLE: dict[str, Any] = {}
_CIRCLE["itself"] = _CIRCLE

STRANGE = [
    "\ud800",
    "nul \x00, line\u2028separator",
    b"bytes",
    float("nan"),
    float("-inf"),
    10**5000,
    Hostile(),
    _CIRCLE,
    _nested(10_000),
    {("a", "tuple"): 1, None: 2, b"k": 3},
    {1, 2},
    datetime(2026, 1, 1, tzinfo=UTC),
    "x" * 5_000_000,
    Hostile,
    None,
]


@pytest.mark.parametrize("value", STRANGE, ids=lambda value: type(value).__name__)
def test_whatever_is_logged_becomes_one_line_that_can_be_written_and_read(value: Any) -> None:
    for got in (
        line("it was %s", value),
        line("%d", value),
        line("an extra", fields={"it": value}),
        line("an extra that is no mapping", fields=value),
        line("arguments that do not fit %s %s %s", value),
    ):
        assert got["level"] == "WARNING"
        assert got["release"] == "s1"


def test_a_message_that_is_no_text_is_shown() -> None:
    record = logging.LogRecord("shop", logging.ERROR, __file__, 1, Hostile(), (), None)

    assert json.loads(JsonFormatter().format(record))["level"] == "ERROR"


def test_an_exception_that_can_not_be_shown_is_named() -> None:
    try:
        raise HostileError
    except HostileError:
        got = line("failed", exc_info=sys.exc_info())

    assert "HostileError" in str(got["exception"])


def test_a_line_is_no_longer_than_cloudwatch_takes() -> None:
    made = json_line.dumps({"message": "\x00" * 5_000_000, "exception": ["é" * 5_000_000]})

    assert len(made.encode()) < 1024 * 1024
    assert set(json.loads(made)) == {"message", "exception"}


def test_a_lines_own_keys_stay_what_they_are() -> None:
    assert line("one", fields={"level": "none", "order": 5}) | {"time": ""} == {
        "time": "",
        "level": "WARNING",
        "logger": "shop",
        "message": "one",
        "release": "s1",
        "pool": "low",
        "order": 5,
    }


SET_UP = """
import atexit
import logging
from celery import Celery, signals
from taskfleet import logs
from taskfleet import install

app = install(Celery("own"))
logs.on_setup(app, release="s1")

class Redact(logging.Filter):
    def filter(self, record):
        record.msg = record.msg.replace("s3cret", "***")
        return True

def redact(logger, **_):
    for handler in logger.handlers:
        handler.addFilter(Redact())

{configure}
app.log.setup(loglevel="INFO")
logging.getLogger("shop").info("it is s3cret")
logging.getLogger("taskfleet").info("it is s3cret")
logging.getLogger("celery.task").info("it is s3cret")
"""
OWN_LEVEL = """
its = logging.getLogger("botocore")
its.setLevel("DEBUG")
atexit.register(lambda: logging.getLogger("shop").info("its level is %d", its.level))
"""
OWN_SET_UP = """
@signals.setup_logging.connect
def own(**_):
    logging.basicConfig(format="OWN %(message)s", level="INFO")
"""


@pytest.mark.parametrize(
    ("configure", "lines"),
    [
        ("", ['"logger": "shop", "message": "it is s3cret", "release": "s1"}']),
        (
            "signals.after_setup_logger.connect(redact)\nsignals.after_setup_task_logger.connect(redact)",
            [f'"{name}", "message": "it is ***"' for name in ("shop", "taskfleet", "celery.task")],
        ),
        ('app.conf.worker_log_format = "OWN %(message)s"', ["OWN it is s3cret"]),
        (OWN_SET_UP, ["OWN it is s3cret"]),
        (OWN_LEVEL, ['"message": "its level is 10"']),
    ],
)
def test_an_application_has_a_say_in_its_logs(configure: str, lines: list[str]) -> None:
    script = SET_UP.format(configure=configure)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    for line in lines:
        assert line in done.stdout + done.stderr
    if "redact" in configure:
        assert "s3cret" not in done.stdout + done.stderr
    if "OWN" in configure and lines:
        assert '"logger"' not in done.stdout.replace('"logger": "celery.task"', "")
