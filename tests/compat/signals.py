"""The chapter on signals: https://docs.celeryq.dev/en/stable/userguide/signals.html"""

from __future__ import annotations

import json
import signal
from typing import Any

import redis
from celery import Task
from celery import signals as sent

from tests.compat.app import app, mark
from tests.compat.context import Context
from tests.compat.feature import feature
from tests.compat.tasks import ONLY_PREFORK, Flaky, add, got
from tests.compat.workers import long

# Task signals: receivers in producer and worker alike, that leave marks for tasks of this module.


def key_of(kwargs: Any) -> str | None:
    """The key that a task of this module was called with."""
    return kwargs.get("signals_key") if isinstance(kwargs, dict) else None


def listen(name: str, kwargs_of: Any) -> None:
    """Leave a mark with the names of what the signal gives."""

    def heard(sender: Any = None, **given: Any) -> None:
        given.pop("signal", None)
        key = key_of(kwargs_of(sender, given))
        if key is not None:
            mark(f"{key}.{name}", sorted(given))

    getattr(sent, name).connect(heard, weak=False)


listen("before_task_publish", lambda _sender, given: given["body"][1])
listen("after_task_publish", lambda _sender, given: given["body"][1])
listen("task_prerun", lambda _sender, given: given["kwargs"])
listen("task_postrun", lambda _sender, given: given["kwargs"])
listen("task_success", lambda sender, _given: sender.request.kwargs)
listen("task_failure", lambda _sender, given: given["kwargs"])
listen("task_retry", lambda _sender, given: given["request"].kwargs)
listen("task_received", lambda _sender, given: given["request"].kwargs)
listen("task_revoked", lambda _sender, given: given["request"].kwargs)
listen("task_unknown", lambda _sender, given: {"signals_key": given["name"].partition(":")[2]})
listen("task_rejected", lambda _sender, given: {"signals_key": "signals"})


@app.task
def good(signals_key: str = "") -> str:
    """Succeeds."""
    return "good"


@app.task
def bad(signals_key: str = "") -> None:
    """Fails."""
    raise Flaky


@app.task(bind=True)
def again(self: Task, signals_key: str = "") -> None:
    """Is tried twice."""
    if not self.request.retries:
        raise self.retry(countdown=0)


def heard(context: Context, name: str, task: Any = good, **options: Any) -> Any:
    """What the signal gave when the task was called."""
    task.apply_async(kwargs={"signals_key": context.key}, **options)
    return context.wait_marks(key=f"{context.key}.{name}")[0]


@feature(
    "`before_task_publish`",
    "['body', 'declare', 'exchange', 'headers', 'properties', 'retry_policy', 'routing_key']",
)
def before_task_publish(context: Context) -> Any:
    return heard(context, "before_task_publish")


@feature("`before_task_publish` may change headers", "added")
def before_task_publish_headers(context: Context) -> Any:
    from tests.compat.tasks import about

    def add_header(headers: Any = None, **_given: Any) -> None:
        if headers["id"] == f"id-{context.key}":
            headers["added"] = "added"

    sent.before_task_publish.connect(add_header, sender=about.name, weak=False)
    return got(about.apply_async(("headers",), task_id=f"id-{context.key}"))["headers"]["added"]


@feature("`after_task_publish`", "['body', 'exchange', 'headers', 'routing_key']")
def after_task_publish(context: Context) -> Any:
    return heard(context, "after_task_publish")


@feature("`connect(sender=…)`: of one task alone", 1)
def by_sender(context: Context) -> Any:
    seen: list[str] = []

    def receive(sender: Any = None, headers: Any = None, **_given: Any) -> None:
        seen.append(sender)

    sent.after_task_publish.connect(receive, sender="signals.of-one", weak=False)
    app.send_task("signals.of-one", queue="parked")
    app.send_task("signals.of-another", queue="parked")
    return len(seen)


@feature("`task_prerun`", "['args', 'kwargs', 'task', 'task_id']")
def task_prerun(context: Context) -> Any:
    return heard(context, "task_prerun")


@feature("`task_postrun`", "['args', 'kwargs', 'retval', 'state', 'task', 'task_id']")
def task_postrun(context: Context) -> Any:
    return heard(context, "task_postrun")


@feature("`task_success`", "['result', 'runtime']")
def task_success(context: Context) -> Any:
    return heard(context, "task_success")


@feature("`task_failure`", "['args', 'einfo', 'exception', 'kwargs', 'task_id', 'traceback']")
def task_failure(context: Context) -> Any:
    return heard(context, "task_failure", bad)


@feature("`task_retry`", "['einfo', 'reason', 'request']")
def task_retry(context: Context) -> Any:
    return heard(context, "task_retry", again)


@feature("`task_received`", "['request']")
def task_received(context: Context) -> Any:
    return heard(context, "task_received")


@feature("`task_revoked`: expired", "['expired', 'request', 'signum', 'terminated']")
def task_revoked(context: Context) -> Any:
    return heard(context, "task_revoked", expires=0.3, countdown=1)


@feature("`task_unknown`", "['exc', 'id', 'message', 'name']")
def task_unknown(context: Context) -> Any:
    app.send_task(f"nobody.knows:{context.key}")
    return context.wait_marks(key=f"{context.key}.task_unknown")[0]


NO_TASK = {
    "body": "W10=",
    "content-type": "application/json",
    "content-encoding": "utf-8",
    "headers": {},
    "properties": {
        "delivery_mode": 2,
        "delivery_tag": "no-task",
        "delivery_info": {"exchange": "", "routing_key": "low"},
        "body_encoding": "base64",
    },
}


@feature("`task_rejected`: a message that is no task", "['exc', 'message']", brokers=("redis",))
def task_rejected(context: Context) -> Any:
    with redis.Redis.from_url(context.side.redis) as client:
        client.lpush("low.r1" if context.side.is_fleet else "celery", json.dumps(NO_TASK))
    return context.wait_marks(key="signals.task_rejected")[0]


# Signals of a worker's life.


def life(context: Context, name: str) -> Any:
    """What the signal gave in a worker that started, ran a task and stopped."""
    key = f"life-{context.shared.folder.name}"

    def live() -> None:
        worker = context.worker(COMPAT_MODULES="tests.compat.signalled", COMPAT_SIGNALS_KEY=key)
        result = long.apply_async((context.key, 2.5), queue=worker.queue)
        context.wait(lambda: context.marks())
        if context.broker == "redis":
            context.wait_marks(key=f"{key}.heartbeat_sent")
        got(result)
        worker.send(signal.SIGTERM)
        worker.ended()

    context.shared.once("a worker's life", live)
    return context.marks(f"{key}.{name}")[0]


@feature("`import_modules`", "['sender']")
def import_modules(context: Context) -> Any:
    return life(context, "import_modules")


@feature("`celeryd_init`", "['conf', 'instance', 'options', 'sender']")
def celeryd_init(context: Context) -> Any:
    return life(context, "celeryd_init")


@feature("`celeryd_after_setup`", "['conf', 'instance', 'sender']")
def celeryd_after_setup(context: Context) -> Any:
    return life(context, "celeryd_after_setup")


@feature("`worker_init`", "['sender']")
def worker_init(context: Context) -> Any:
    return life(context, "worker_init")


@feature("`worker_before_create_process`", "['sender']", pools=ONLY_PREFORK)
def worker_before_create_process(context: Context) -> Any:
    return life(context, "worker_before_create_process")


@feature("`worker_ready`", "['sender']")
def worker_ready(context: Context) -> Any:
    return life(context, "worker_ready")


@feature("`heartbeat_sent`", "['sender']", brokers=("redis",))
def heartbeat_sent(context: Context) -> Any:
    return life(context, "heartbeat_sent")


@feature("`worker_shutting_down`", "['exitcode', 'how', 'sender', 'sig']")
def worker_shutting_down(context: Context) -> Any:
    return life(context, "worker_shutting_down")


@feature("`worker_process_init`", "['sender']", pools=ONLY_PREFORK)
def worker_process_init(context: Context) -> Any:
    return life(context, "worker_process_init")


@feature("`worker_process_shutdown`", "['exitcode', 'pid', 'sender']", pools=ONLY_PREFORK)
def worker_process_shutdown(context: Context) -> Any:
    return life(context, "worker_process_shutdown")


@feature("`worker_shutdown`", "['sender']")
def worker_shutdown(context: Context) -> Any:
    return life(context, "worker_shutdown")


@feature("`after_setup_logger`", "['colorize', 'format', 'logfile', 'logger', 'loglevel', 'sender']")
def after_setup_logger(context: Context) -> Any:
    return life(context, "after_setup_logger")


@feature("`after_setup_task_logger`", "['colorize', 'format', 'logfile', 'logger', 'loglevel', 'sender']")
def after_setup_task_logger(context: Context) -> Any:
    return life(context, "after_setup_task_logger")


@feature("`setup_logging`: a receiver takes the place of Celery's own", [True, False], once=True)
def setup_logging(context: Context) -> Any:
    worker = context.worker(
        ready=False,
        COMPAT_MODULES="tests.compat.signalled",
        COMPAT_SIGNALS_KEY=context.key,
        COMPAT_OWN_LOGGING="1",
    )
    got(add.apply_async((2, 2), queue=worker.queue), worker)
    return [bool(context.marks(f"{context.key}.setup_logging")), "tests.compat.tasks.add[" in worker.text()]


@feature("`beat_init`", "['sender']", once=True)
def beat_init(context: Context) -> Any:
    context.beat(
        COMPAT_MODULES="tests.compat.signalled",
        COMPAT_SIGNALS_KEY=context.key,
        TMPDIR=str(context.shared.folder),
    )
    return context.wait_marks(key=f"{context.key}.beat_init")[0]


@feature("`beat_embedded_init`", "['sender']", once=True)
def beat_embedded_init(context: Context) -> Any:
    path = context.shared.folder / f"{context.key}.schedule"
    context.worker(
        *("-B", "-s", str(path)), COMPAT_MODULES="tests.compat.signalled", COMPAT_SIGNALS_KEY=context.key
    )
    return context.wait_marks(key=f"{context.key}.beat_embedded_init")[0]
