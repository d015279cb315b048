"""The chapter on monitoring: https://docs.celeryq.dev/en/stable/userguide/monitoring.html"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from typing import Any

import redis
from celery.events.snapshot import Polaroid

from tests.compat.app import app, mark
from tests.compat.context import WAIT, Context
from tests.compat.feature import feature
from tests.compat.sides import APP
from tests.compat.tasks import add, fails, got, rejects, retries, sends
from tests.compat.workers import ONLY_REDIS, ask, control_worker, listens, long

# The command line.


def json_of(context: Context, *arguments: str) -> Any:
    """The answer of the worker to ``celery inspect … --json``."""
    worker = control_worker(context)
    text = context.celery("inspect", "--timeout", "10", "--json", "-d", worker.node, *arguments)
    return json.loads(text)[worker.node]


@feature("`celery status`", True, once=True)
def status(context: Context) -> Any:
    control_worker(context)
    text = context.celery("status", "--timeout", "5")
    return f"{context.main_node}: " in text and "nodes online" in text


@feature("`celery inspect ping`", {"ok": "pong"}, once=True)
def inspect_ping(context: Context) -> Any:
    return json_of(context, "ping")


@feature("`celery inspect active`, `scheduled`", True, once=True)
def inspect_tasks(context: Context) -> Any:
    commands = ("active", "scheduled")
    return all(isinstance(json_of(context, each), list) for each in commands)


@feature("`celery inspect registered`", True, once=True)
def inspect_registered(context: Context) -> Any:
    return add.name in json_of(context, "registered")


@feature("`celery inspect stats`", 4, once=True)
def inspect_stats(context: Context) -> Any:
    return json_of(context, "stats")["pool"]["max-concurrency"]


@feature("`celery inspect query_task`", True, once=True)
def inspect_query_task(context: Context) -> Any:
    result = long.apply_async((context.key, 90), queue=control_worker(context).queue)
    context.wait_marks()
    found = result.id in json_of(context, "query_task", result.id)
    app.control.revoke(result.id, terminate=True)
    return found


@feature(
    "`celery control enable_events`, `disable_events`",
    [True, True],
    once=True,
)
def control_events(context: Context) -> Any:
    worker = context.worker()
    listens(worker)
    commands = ("enable_events", "disable_events")
    replies = [context.celery("control", "--timeout", "10", "-d", worker.node, each) for each in commands]
    return [said in reply for said, reply in zip(("events enabled", "events disabled"), replies, strict=True)]


@feature("`celery control revoke`", True, once=True)
def control_revoke(context: Context) -> Any:
    control_worker(context)
    context.celery("control", "revoke", f"id-of-{context.key}")
    context.wait(lambda: f"id-of-{context.key}" in ask(context, "revoked"))
    return True


@feature("`celery call`, `celery result`", True, once=True)
def call(context: Context) -> Any:
    its_id = context.celery("call", add.name, "--args", "[2, 2]").strip()
    got(app.AsyncResult(its_id))
    return context.celery("result", its_id).strip().endswith("4")


@feature("`celery purge -Q`", "Purged 2 messages", once=True)
def purge(context: Context) -> Any:
    queue = context.shared.take()
    for _ in range(2):
        add.apply_async((1, 1), queue=queue)
    text = context.celery("purge", "--force", "--queues", queue)
    return next((line for line in text.splitlines() if "Purged" in line), text)[:17]


@feature("`app.control.purge()`: the application's queues", 2, once=True, alone=True)
def control_purge(context: Context) -> Any:
    made = context.make_app(task_default_queue=context.shared.take())
    for _ in range(2):
        made.send_task(add.name, (1, 1))
    return made.control.purge()


@feature("`celery list bindings`", 0, once=True)
def list_bindings(context: Context) -> Any:
    return context.celery("list", "bindings", code=True)[0]


@feature("`celery report`", True, once=True)
def report(context: Context) -> Any:
    return "software -> celery" in context.celery("report")


@feature("`celery graph bootsteps`", True, once=True)
def graph(context: Context) -> Any:
    return "digraph" in context.celery("graph", "bootsteps")


@feature("`celery shell`", 0, once=True)
def shell(context: Context) -> Any:
    return context.celery("shell", "--python", code=True)[0]


@feature("`celery upgrade settings`", True, once=True)
def upgrade(context: Context) -> Any:
    path = context.shared.folder / f"{context.key}.py"
    path.write_text("CELERY_RESULT_BACKEND = 'redis://'\n")
    context.celery("upgrade", "settings", str(path), "--no-backup")
    return "result_backend" in path.read_text()


@feature("`celery logtool stats`", True, once=True)
def logtool(context: Context) -> Any:
    path = context.shared.folder / f"{context.key}.log"
    path.write_text("[2026-01-01 00:00:00,000: INFO/MainProcess] Task a.b[1] received\n")
    return context.celery("logtool", "stats", str(path), code=True)[0] == 0


@feature("`celery amqp`", 0, once=True)
def amqp(context: Context) -> Any:
    return context.celery("amqp", "queue.declare", "a-queue", code=True)[0]


@feature("a command's `--help`", True, once=True)
def help_(context: Context) -> Any:
    return "--autoscale" in context.celery("worker", "--help")


# The queues themselves.


@feature("Redis: `LLEN queue` says how many wait", 3, brokers=ONLY_REDIS)
def llen(context: Context) -> Any:
    queue = context.shared.take()
    for _ in range(3):
        add.apply_async((1, 1), queue=queue)
    with redis.Redis.from_url(context.side.redis) as client:
        return client.llen(queue)


# Events.


class Heard:
    """All events that this client has received, from all workers."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.state = app.events.State()
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self) -> None:
        with app.connection() as connection:
            receiver = app.events.Receiver(connection, handlers={"*": self._heard})
            receiver.capture(limit=None, timeout=None, wakeup=True)

    def _heard(self, event: dict[str, Any]) -> None:
        self.events.append(dict(event))
        self.state.event(event)


def heard(context: Context) -> Heard:
    """Everything from now on, with task events enabled."""

    def begin() -> Heard:
        made = Heard()
        node = context.main_node
        reply = app.control.enable_events(destination=[node], reply=True, timeout=20, limit=1)
        assert reply, "the worker does not answer"
        # Until something has come: the receiver listens then.
        end = time.monotonic() + 60
        while not made.events and time.monotonic() < end:
            add.delay(1, 1)
            time.sleep(0.3)
        return made

    return context.shared.once("events", begin)  # type: ignore[no-any-return]


EACH_HAS = {"type", "hostname", "utcoffset", "pid", "clock", "timestamp", "local_received", "uuid"}


def event(context: Context, kind: str, send: Any, seconds: float = WAIT) -> dict[str, Any]:
    """The event of that kind of a task that ``send`` sends; empty if none comes."""
    events, result = heard(context), send()

    def found() -> list[dict[str, Any]]:
        return [
            each for each in list(events.events) if each["type"] == kind and each.get("uuid") == result.id
        ]

    return found()[0] if context.happens(found, seconds) else {}


def fields(found: dict[str, Any]) -> list[str]:
    """What it has besides what each has."""
    return sorted(set(found) - EACH_HAS)


@feature("`task-sent`: `task_send_sent_event`", True, brokers=ONLY_REDIS)
def task_sent(context: Context) -> Any:
    heard(context)
    made = context.make_app(task_send_sent_event=True)
    return bool(event(context, "task-sent", lambda: made.send_task(add.name, (1, 1))))


@feature(
    "`task-received`",
    ["args", "eta", "expires", "kwargs", "name", "parent_id", "retries", "root_id"],
    brokers=ONLY_REDIS,
)
def task_received(context: Context) -> Any:
    return fields(event(context, "task-received", lambda: add.delay(1, 1)))


@feature("`task-started`", [], brokers=ONLY_REDIS)
def task_started(context: Context) -> Any:
    return fields(event(context, "task-started", lambda: add.delay(1, 1)))


@feature("`task-succeeded`, with the result", [["result", "runtime"], "2"], brokers=ONLY_REDIS)
def task_succeeded(context: Context) -> Any:
    found = event(context, "task-succeeded", lambda: add.delay(1, 1))
    return [fields(found), found["result"]]


@feature(
    "`task-failed`, with exception and traceback",
    [["exception", "traceback"], "ValueError('it')"],
    brokers=ONLY_REDIS,
)
def task_failed(context: Context) -> Any:
    found = event(context, "task-failed", fails.delay)
    return [fields(found), found["exception"]]


@feature("`task-retried`", ["exception", "traceback"], brokers=ONLY_REDIS)
def task_retried(context: Context) -> Any:
    return fields(event(context, "task-retried", lambda: retries.delay(1)))


@feature("`task-rejected`", ["requeue"], brokers=ONLY_REDIS)
def task_rejected(context: Context) -> Any:
    return fields(event(context, "task-rejected", lambda: rejects.delay(context.key, False), 15))


@feature("`task-revoked`", [["expired", "signum", "terminated"], True], brokers=ONLY_REDIS)
def task_revoked(context: Context) -> Any:
    found = event(context, "task-revoked", lambda: add.apply_async((1, 1), expires=0.3, countdown=1))
    return [fields(found), found["expired"]]


@feature("events of one's own: `self.send_event`", 3, brokers=ONLY_REDIS)
def own_event(context: Context) -> Any:
    return event(context, "task-compat", sends.delay)["progress"]


@feature("events show arguments as `argsrepr` says", "(<secret>)", brokers=ONLY_REDIS)
def argsrepr(context: Context) -> Any:
    return event(context, "task-received", lambda: add.apply_async((1, 1), argsrepr="(<secret>)"))["args"]


def of_worker(context: Context, kind: str) -> bool:
    """Whether a worker that starts, and stops, sends it."""
    events = heard(context)

    def live() -> str:
        worker = context.worker(conf={"worker_send_task_events": True})
        listens(worker)
        worker.stop()
        return worker.node

    node = context.shared.once("a worker that sends events", live)

    def found() -> list[Any]:
        return [each for each in list(events.events) if each["type"] == kind and each["hostname"] == node]

    context.wait(found, kind)
    return bool(found())


@feature("`worker-online`", True, brokers=ONLY_REDIS)
def worker_online(context: Context) -> Any:
    return of_worker(context, "worker-online")


@feature("`worker-offline`", True, brokers=ONLY_REDIS)
def worker_offline(context: Context) -> Any:
    return of_worker(context, "worker-offline")


@feature("`worker-heartbeat`", True, brokers=ONLY_REDIS, once=True)
def worker_heartbeat(context: Context) -> Any:
    events = heard(context)

    def found() -> list[Any]:
        seen = list(events.events)
        return [x for x in seen if x["type"] == "worker-heartbeat" and x["hostname"] == context.main_node]

    has = {"freq", "sw_ident", "sw_ver", "sw_sys", "active", "processed"}
    context.wait(lambda: any(has <= set(each) for each in found()), "a heartbeat")
    return True


@feature("`app.events.State`: tasks and workers in memory", ["SUCCESS", True], brokers=ONLY_REDIS)
def state(context: Context) -> Any:
    found = event(context, "task-succeeded", lambda: add.delay(1, 1))
    known = heard(context).state
    return [known.tasks[found["uuid"]].state, context.main_node in known.workers]


class Camera(Polaroid):  # type: ignore[misc]
    """Takes pictures of what happened."""

    clear_after = True

    def on_shutter(self, state: Any) -> None:
        """Leave a mark of each."""
        if state.event_count:
            import os

            mark(os.environ["COMPAT_CAMERA"], state.event_count)


def watching(context: Context, *arguments: str, **variables: str) -> Any:
    """A ``celery events`` that runs beside."""
    heard(context)  # task events are on
    command = [sys.executable, "-m", "celery", "-A", APP, "events", *arguments]
    return subprocess.Popen(
        command,
        env={**context.side.environment, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@feature("snapshots: `celery events --camera`", True, once=True)
def camera(context: Context) -> Any:
    arguments = ("--camera", "tests.compat.monitoring.Camera", "--frequency", "1")
    process = watching(context, *arguments, COMPAT_CAMERA=context.key)
    try:
        context.wait(lambda: add.delay(1, 1) and time.sleep(0.3) is None and context.marks(), "a picture")
        return True
    finally:
        process.kill()
        process.wait()


@feature("`celery events --dump`", True, once=True)
def dump(context: Context) -> Any:
    process = watching(context, "--dump", PYTHONUNBUFFERED="1")
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stdout), daemon=True)
    reader.start()
    try:
        context.wait(
            lambda: add.delay(1, 1) and time.sleep(0.3) is None and any("task" in x for x in lines), "lines"
        )
        return True
    finally:
        process.kill()
        process.wait()
