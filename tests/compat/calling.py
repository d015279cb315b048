"""The chapter on calling tasks: https://docs.celeryq.dev/en/stable/userguide/calling.html"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from celery import Task
from kombu.serialization import register

from tests.compat.app import app, mark
from tests.compat.context import Context, outcome
from tests.compat.feature import feature
from tests.compat.tasks import Flaky, about, add, ended, fails, got, on_error, quiet


@app.task(name="calling.note")
def note(key: str, *what: Any) -> Any:
    """Leave a mark, and return what it was given."""
    mark(key, list(what))
    return list(what)


@app.task(name="calling.when")
def when(key: str) -> float:
    """Leave the time."""
    mark(key, time.time())
    return time.time()


# Basics.


@feature("`delay(*args, **kwargs)`", 4)
def delay(context: Context) -> Any:
    return got(add.delay(2, y=2))


@feature("`apply_async(args, kwargs)`", 4)
def apply_async(context: Context) -> Any:
    return got(add.apply_async((2,), {"y": 2}))


@feature("`app.send_task(name)`", 4)
def send_task(context: Context) -> Any:
    return got(app.send_task("tests.compat.tasks.add", [2, 2]))


@feature(
    "`AsyncResult`: `ready`, `successful`, `failed`, `get(propagate=False)`",
    [True, False, True, "ValueError"],
)
def async_result(context: Context) -> Any:
    result = fails.delay()
    error = result.get(timeout=60, propagate=False)
    return [result.ready(), result.successful(), result.failed(), type(error).__name__]


@feature("`result.get()` raises the task's exception", "raises ValueError")
def propagates(context: Context) -> Any:
    return outcome(lambda: got(fails.delay()))


@feature("`result.forget()`", ["SUCCESS", "PENDING"])
def forget(context: Context) -> Any:
    result = add.delay(1, 1)
    got(result)
    before = app.AsyncResult(result.id).state
    result.forget()
    return [before, app.AsyncResult(result.id).state]


@feature("`result.get(timeout=…)` raises `TimeoutError`", "raises TimeoutError")
def get_timeout(context: Context) -> Any:
    return outcome(lambda: add.apply_async((1, 1), countdown=30).get(timeout=0.5))


@feature("`result.then(callback)`", 4)
def then(context: Context) -> Any:
    seen: list[Any] = []
    result = add.delay(2, 2)
    result.then(lambda done: seen.append(done.result))
    got(result)
    context.wait(lambda: seen)
    return seen[0]


# Linking.


@feature("`link=`: a callback gets the result", [[5]])
def link(context: Context) -> Any:
    add.apply_async((2, 3), link=note_result.s(context.key))
    return eval_marks(context, 1)


def eval_marks(context: Context, number: int) -> list[Any]:
    """The marks of `note`, in order of their text."""
    import ast

    return sorted((ast.literal_eval(line) for line in context.wait_marks(number)), key=repr)


@app.task(name="calling.note_result")
def note_result(result: Any, key: str) -> None:
    """A callback."""
    mark(key, [result])


@feature("a list of callbacks", [[5], [5]])
def links(context: Context) -> Any:
    add.apply_async((2, 3), link=[note_result.s(context.key), note_result.s(context.key)])
    return eval_marks(context, 2)


@feature("callbacks with arguments of their own, and immutable ones", [["mine"], [5]])
def link_arguments(context: Context) -> Any:
    add.apply_async((2, 3), link=[note_result.s(key=context.key), note.si(context.key, "mine")])
    return eval_marks(context, 2)


@feature("`link_error=`: an errback with request, exception and traceback", ["ValueError"])
def link_error(context: Context) -> Any:
    fails.apply_async(link_error=on_error.s(context.key))
    return context.wait_marks()


@app.task(name="calling.old_errback")
def old_errback(task_id: str) -> None:
    """The older kind of errback."""
    mark(f"old-errback.{task_id}", task_id)


@feature("an errback that takes the parent's id: `link_error=` by name", True)
def link_error_by_id(context: Context) -> Any:
    result = fails.apply_async(link_error=app.signature("calling.old_errback"))
    return context.wait_marks(key=f"old-errback.{result.id}") == [result.id]


@app.task(bind=True, name="calling.fails_in_the_end")
def fails_in_the_end(self: Task) -> None:
    """Twice."""
    if not self.request.retries:
        raise self.retry(countdown=0)
    raise Flaky


@feature("callbacks and errbacks are kept over a retry", ["Flaky"])
def link_error_retry(context: Context) -> Any:
    fails_in_the_end.apply_async(link_error=on_error.s(context.key))
    return context.wait_marks()


# On message.


@app.task(bind=True, name="calling.hello")
def hello(self: Task) -> str:
    """With a state of its own."""
    time.sleep(1)
    self.update_state(state="PROGRESS", meta={"progress": 50})
    time.sleep(1)
    return "hello"


@feature(
    "`get(on_message=…)`: state changes as they come", [["PROGRESS", {"progress": 50}], ["SUCCESS", "hello"]]
)
def on_message(context: Context) -> Any:
    seen: list[Any] = []
    result = hello.delay()

    def heard(body: Any) -> None:
        if body["task_id"] == result.id:  # messages of other results come, too
            seen.append([body["status"], body["result"]])

    result.get(on_message=heard, propagate=False, timeout=60)
    return seen


# ETA and countdown.


@feature("`countdown=`", [True, True])
def countdown(context: Context) -> Any:
    began = time.time()
    waited = got(when.apply_async((context.key,), countdown=3)) - began
    return [waited >= 2.9, waited < 30]


@feature("`eta=` in UTC", [True, True])
def eta(context: Context) -> Any:
    at = datetime.now(UTC) + timedelta(seconds=3)
    late = got(when.apply_async((context.key,), eta=at)) - at.timestamp()
    return [late >= -0.1, late < 30]


@feature("`eta=` in another time zone", [True, True])
def eta_zone(context: Context) -> Any:
    at = datetime.now(timezone(timedelta(hours=5, minutes=30))) + timedelta(seconds=3)
    late = got(when.apply_async((context.key,), eta=at)) - at.timestamp()
    return [late >= -0.1, late < 30]


@feature("`eta=` in the past: at once", True)
def eta_past(context: Context) -> Any:
    at = datetime.now(UTC) - timedelta(hours=1)
    return got(when.apply_async((context.key,), eta=at)) > 0


# Expiration.


@feature("`expires=` in seconds: REVOKED, and not run", ["REVOKED", 0])
def expires(context: Context) -> Any:
    result = note.apply_async((context.key,), expires=0.5, countdown=2)
    context.wait(lambda: result.state != "PENDING")
    return [result.state, len(context.marks())]


@feature("`expires=` as a time", ["REVOKED", 0])
def expires_at(context: Context) -> Any:
    at = datetime.now(UTC) + timedelta(seconds=0.5)
    result = note.apply_async((context.key,), expires=at, countdown=2)
    context.wait(lambda: result.state != "PENDING")
    return [result.state, len(context.marks())]


@feature("`expires=` that has not come", ["in time"])
def expires_later(context: Context) -> Any:
    return got(note.apply_async((context.key, "in time"), expires=60))


@app.task(name="calling.short_lived", expires=60)
def short_lived() -> str:
    """An option of the task."""
    return "in time"


@feature("`expires` of a task", "in time")
def expires_of_task(context: Context) -> Any:
    return got(short_lived.delay())


# Sending.


@feature("`retry=False`", 4)
def retry_false(context: Context) -> Any:
    return got(add.apply_async((2, 2), retry=False))


@feature("`retry_policy=`", 4)
def retry_policy(context: Context) -> Any:
    policy = {"max_retries": 3, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}
    return got(add.apply_async((2, 2), retry=True, retry_policy=policy))


NO_BROKER = """
import os
from tests.compat.app import app
from tests.compat.tasks import add
from kombu.exceptions import OperationalError
app.conf.task_publish_retry_policy = {"max_retries": 1, "interval_start": 0}
try:
    add.apply_async((2, 2))
except add.OperationalError as error:
    print("OperationalError")
except Exception as error:
    print(type(error).__name__)
else:
    print("accepted")
"""


def without_broker(context: Context, **more: str) -> Any:
    """A publish whose broker's port nobody listens on."""
    import json

    from taskfleet.contract import environment as env

    from tests.compat import app as names

    closed = json.dumps({"url": "redis://127.0.0.1:1/0", "options": {}})
    variables = {names.STOCK_BROKER: closed, env.BROKER_PORT.name: "1", **more}
    return context.python(NO_BROKER, **variables).strip()


@feature("the broker is away: `OperationalError`", "OperationalError", brokers=("redis",), once=True)
def connection_error(context: Context) -> Any:
    return without_broker(context)


@feature(
    "no broker at all is there: `except task.OperationalError`",
    "OperationalError",
    brokers=("redis",),
    once=True,
)
def no_broker(context: Context) -> Any:
    return without_broker(context, AWS_ENDPOINT_URL="http://127.0.0.1:1")


# Serializers, compression.


@feature("JSON carries dates, decimals and UUIDs", ["datetime", "Decimal", "UUID"])
def json_types(context: Context) -> Any:
    from decimal import Decimal
    from uuid import uuid4

    return got(kinds.delay(datetime.now(UTC), Decimal("1.5"), uuid4()))


@app.task(name="calling.kinds")
def kinds(*values: Any) -> list[str]:
    """The types that arrived."""
    return [type(value).__name__ for value in values]


@feature("what is not JSON is an error at the call: `EncodeError`", "raises EncodeError")
def encode_error(context: Context) -> Any:
    return outcome(lambda: add.delay(object(), 1))


ACCEPTS = {"accept_content": ["json", "pickle", "yaml", "mine"]}


def with_serializer(context: Context, serializer: str) -> Any:
    """A task in another serializer, on a worker of an application that accepts it."""
    made = context.make_app(**ACCEPTS)
    worker = context.shared_worker("serializers", conf=ACCEPTS)
    result = made.send_task("tests.compat.tasks.add", (2, 2), queue=worker.queue, serializer=serializer)
    return got(result)


@feature("`serializer='pickle'`, where it is accepted", 4)
def pickle(context: Context) -> Any:
    return with_serializer(context, "pickle")


@feature("`serializer='yaml'`, where it is accepted", 4)
def yaml(context: Context) -> Any:
    return with_serializer(context, "yaml")


def _to_mine(value: Any) -> str:
    import json

    return json.dumps(value)[::-1]


def _from_mine(text: Any) -> Any:
    import json

    return json.loads((text.decode() if isinstance(text, bytes) else text)[::-1])


register("mine", _to_mine, _from_mine, content_type="application/x-mine", content_encoding="utf-8")


@feature("a serializer of one's own: `kombu.serialization.register`", 4)
def own_serializer(context: Context) -> Any:
    return with_serializer(context, "mine")


def _compressed(context: Context, how: str) -> Any:
    return got(note.apply_async((context.key, "x" * 2000), compression=how)) == ["x" * 2000]


@feature("`compression='zlib'`", True)
def zlib(context: Context) -> Any:
    return _compressed(context, "zlib")


@feature("`compression='bzip2'`", True)
def bzip2(context: Context) -> Any:
    return _compressed(context, "bzip2")


@feature("`compression='gzip'`", True)
def gzip(context: Context) -> Any:
    return _compressed(context, "gzip")


@feature("`compression='lzma'`", True)
def lzma(context: Context) -> Any:
    return _compressed(context, "lzma")


# Connections.


@feature("`connection=`", [4, 6])
def connection(context: Context) -> Any:
    with app.connection_for_write() as made:
        return [got(add.apply_async(pair, connection=made)) for pair in ((2, 2), (3, 3))]


@feature("`producer=` of `app.producer_pool`", [4, 6])
def producer(context: Context) -> Any:
    with app.producer_pool.acquire(block=True) as made:
        results = [add.apply_async(pair, producer=made) for pair in ((2, 2), (3, 3))]
    return [got(each) for each in results]


@feature("`app.pool.acquire()`", True, brokers=("redis",))
def pool(context: Context) -> Any:
    with app.pool.acquire(block=True) as made:
        return made.connected or made.connection is not None


# Routing options.


def queue_of(context: Context, **options: Any) -> Any:
    """The queue where a task of these options ran."""
    seen = got(about.apply_async(("delivery_info",), **options))
    return context.logical(seen["delivery_info"]["routing_key"])


@feature("`queue=`", "high")
def queue(context: Context) -> Any:
    return queue_of(context, queue="high")


@feature("`routing_key=` alone: the default queue", "celery")
def routing_key(context: Context) -> Any:
    seen = got(about.apply_async(("delivery_info",), routing_key="celery"))
    return context.logical(seen["delivery_info"]["routing_key"])


@feature("`priority=`", 3)
def priority(context: Context) -> Any:
    seen = got(about.apply_async(("delivery_info",), priority=3))
    return seen["delivery_info"]["priority"]


# Results and advanced options.


@feature("`ignore_result=True` of a call", [None, "PENDING"])
def ignore_result(context: Context) -> Any:
    result = add.apply_async((2, 2), ignore_result=True)
    return [got(result), context.settled(lambda: app.AsyncResult(result.id).state)]


@feature("`ignore_result=False` of a call, over the task's", 1)
def ignore_result_false(context: Context) -> Any:
    return got(quiet.apply_async(ignore_result=False))


@feature("`task_id=`", [True, 4])
def task_id(context: Context) -> Any:
    its_id = f"mine-{context.side.name}-{context.key}"
    result = add.apply_async((2, 2), task_id=its_id)
    return [result.id == its_id, got(result)]


@feature("`headers=`", "yes")
def headers(context: Context) -> Any:
    return got(about.apply_async(("headers",), headers={"mine": "yes"}))["headers"]["mine"]


@feature("`shadow=`", "another name")
def shadow(context: Context) -> Any:
    return got(about.apply_async(("shadow",), shadow="another name"))["shadow"]


@app.task(name="calling.sleeps")
def sleeps(seconds: float) -> str:
    """For that long."""
    time.sleep(seconds)
    return "slept"


@feature("`time_limit=` of a call", True, pools=("prefork",))
def time_limit(context: Context) -> Any:
    return ended(lambda: got(sleeps.apply_async((60,), time_limit=2)))


@feature("`soft_time_limit=` of a call", "raises SoftTimeLimitExceeded", pools=("prefork",))
def soft_time_limit(context: Context) -> Any:
    return outcome(lambda: got(sleeps.apply_async((60,), soft_time_limit=1)))


@feature("`reply_to=`, `correlation_id=`", {"reply_to": "there", "correlation_id": "mine"})
def reply_to(context: Context) -> Any:
    return got(about.apply_async(("reply_to", "correlation_id"), reply_to="there", correlation_id="mine"))


@feature("`root_id=`, `parent_id=`", {"root_id": "root", "parent_id": "parent"})
def root_id(context: Context) -> Any:
    return got(about.apply_async(("root_id", "parent_id"), root_id="root", parent_id="parent"))


@feature("`add_to_parent`, `group_id=`, `group_index=`", {"group": "a-group", "group_index": 3})
def group_id(context: Context) -> Any:
    return got(about.apply_async(("group", "group_index"), group_id="a-group", group_index=3))


@feature("`task_always_eager`: `delay` runs here", [4, "EagerResult"], once=True, alone=True)
def always_eager(context: Context) -> Any:
    made = context.make_app(task_always_eager=True)

    @made.task  # type: ignore[untyped-decorator]
    def four() -> int:
        return 4

    result = four.delay()
    return [result.get(), type(result).__name__]
