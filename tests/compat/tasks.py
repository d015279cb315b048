"""The chapter on tasks: https://docs.celeryq.dev/en/stable/userguide/tasks.html"""

from __future__ import annotations

import functools
import itertools
import os
import time
from collections.abc import Callable
from typing import Any

from celery import Celery, Task, shared_task
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from celery.utils.log import get_task_logger
from celery.worker.request import Request

from tests.compat.app import app, mark, marks_of
from tests.compat.context import WAIT, Context, Process, outcome
from tests.compat.feature import feature
from tests.support.processes import wait_for

logger = get_task_logger(__name__)
ONLY_PREFORK = ("prefork",)


def runs(key: str) -> int:
    """How many marks there are, for a task that acts by it."""
    return len(marks_of(key).read_text().splitlines())


def got(result: Any, worker: Process | None = None) -> Any:
    """The result of a task, when it is there; AssertionError if the worker ends before."""
    if worker is not None:
        wait_for(lambda: result.ready() or worker.process.poll() is not None, seconds=WAIT, what="a result")
        assert result.ready(), worker.text()[-1500:]
    return result.get(timeout=WAIT)


# Basics.


@app.task
def add(x: int, y: int) -> int:
    return x + y


@feature("a function is a task: `@app.task`", 4)
def basics(context: Context) -> Any:
    return got(add.delay(2, 2))


@shared_task
def shared_add(x: int, y: int) -> int:
    return x + y


@feature("`@shared_task`", 4)
def shared(context: Context) -> Any:
    return got(shared_add.delay(2, 2))


def doubled(function: Callable[..., int]) -> Callable[..., int]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> int:
        return 2 * function(*args, **kwargs)

    return call


@app.task
@doubled
def decorated(x: int) -> int:
    return x


@feature("multiple decorators", 14)
def multiple_decorators(context: Context) -> Any:
    return got(decorated.delay(7))


@app.task(bind=True)
def bound_to(self: Task) -> list[str]:
    return [type(self).__name__, self.name, self.request.id]


@feature("bound tasks: `bind=True`", ["bound_to", "tests.compat.tasks.bound_to", True])
def bound(context: Context) -> Any:
    result = bound_to.delay()
    kind, name, its_id = got(result)
    return [kind, name, its_id == result.id]


class Base(Task):
    abstract = True

    def from_base(self) -> str:
        return "from the base"


@app.task(base=Base, bind=True)
def inherits(self: Any) -> str:
    return str(self.from_base())


@feature("task inheritance: `base=`", "from the base")
def inheritance(context: Context) -> Any:
    return got(inherits.delay())


@app.task(name="compat.named")
def named() -> str:
    return "named"


@feature("a name of its own: `name=`", ["compat.named", "named"])
def name(context: Context) -> Any:
    return [named.name, got(app.send_task("compat.named"))]


@feature("automatic names", "tests.compat.tasks.add", once=True)
def automatic_name(context: Context) -> Any:
    return add.name


@feature("changing the automatic naming: `gen_task_name`", "moduleA.f", once=True)
def gen_task_name(context: Context) -> Any:
    class Renaming(Celery):  # type: ignore[misc]
        def gen_task_name(self, name: str, module: str) -> str:
            return f"moduleA.{name}"

    def f() -> None:
        pass

    from tests.compat import app as the_app

    return the_app.configure(Renaming("renaming", set_as_current=False), {}).task(f).name


# Task request.


@app.task(bind=True)
def about(self: Task, *fields: str, **_kwargs: Any) -> dict[str, Any]:
    return {name: getattr(self.request, name) for name in fields}


def request(*fields: str, **options: Any) -> Any:
    """These fields of a task's request, called with the options."""
    return got(about.apply_async(fields, **options))


@feature("request: `id`, `root_id`, `parent_id`, `correlation_id`", [True, True, None, True])
def request_ids(context: Context) -> Any:
    result = about.delay("id", "root_id", "parent_id", "correlation_id")
    seen = got(result)
    return [value == result.id if value else value for value in seen.values()]


@feature("request: `args`, `kwargs`", {"args": ["args", "kwargs"], "kwargs": {"more": 1}})
def request_arguments(context: Context) -> Any:
    return request("args", "kwargs", kwargs={"more": 1})


@feature(
    "request: `retries`, `is_eager`, `called_directly`, `replaced_task_nesting`",
    {"retries": 0, "is_eager": False, "called_directly": False, "replaced_task_nesting": 0},
)
def request_flags(context: Context) -> Any:
    return request("retries", "is_eager", "called_directly", "replaced_task_nesting")


@feature("request: `origin`, the process that sent it", True)
def request_origin(context: Context) -> Any:
    return str(request("origin")["origin"]) == f"gen{os.getpid()}@{os.uname().nodename}"


@feature("request: `hostname`, the worker's node name", True)
def request_hostname(context: Context) -> Any:
    return "@" in request("hostname")["hostname"]


@feature("request: `eta`", [True, False])
def request_eta(context: Context) -> Any:
    return [bool(request("eta", countdown=0.2)["eta"]), bool(request("eta")["eta"])]


@feature("request: `expires` of the call", True)
def request_expires(context: Context) -> Any:
    return bool(request("expires", expires=300)["expires"])


@feature("no `expires`: the task never expires", None)
def request_no_expires(context: Context) -> Any:
    return request("expires")["expires"]


@feature(
    "request: `timelimit`, `time_limit`, `soft_time_limit`",
    {"timelimit": [60, 50], "time_limit": 60, "soft_time_limit": 50},
)
def request_timelimit(context: Context) -> Any:
    return request("timelimit", "time_limit", "soft_time_limit", time_limit=60, soft_time_limit=50)


@feature("request: `delivery_info` names the queue as the team does", "celery")
def request_delivery_info(context: Context) -> Any:
    return request("delivery_info")["delivery_info"]["routing_key"]


@feature("request: `headers`", "yes")
def request_headers(context: Context) -> Any:
    return request("headers", headers={"mine": "yes"})["headers"]["mine"]


@feature("request: `properties`, `reply_to`", [True, True])
def request_properties(context: Context) -> Any:
    result = about.delay("properties", "reply_to")
    seen = got(result)
    return [seen["properties"]["correlation_id"] == result.id, bool(seen["reply_to"])]


@feature("request: `callbacks`, `errbacks`", [["tests.compat.tasks.add"], ["tests.compat.tasks.on_error"]])
def request_callbacks(context: Context) -> Any:
    seen = request("callbacks", "errbacks", link=add.si(1, 1), link_error=on_error.s(context.key))
    return [[each["task"] for each in seen[name]] for name in ("callbacks", "errbacks")]


@feature("request: `chain`, `group`, `chord`", [["tests.compat.tasks.about"], True, "tests.compat.tasks.add"])
def request_canvas(context: Context) -> Any:
    from celery import chain, chord, group

    in_chain = chain(about.si("chain"), about.si("chain")).apply_async().parent
    in_group = group(about.si("group"), about.si("group")).apply_async()
    in_chord = chord([about.si("chord"), about.si("chord")])(add.si(1, 1))
    return [
        [each["task"] for each in got(in_chain)["chain"]],
        {each["group"] for each in got(in_group)} == {in_group.id},
        got(in_chord.parent)[0]["chord"]["task"],
    ]


# Logging.


@app.task
def logs(text: str) -> None:
    logger.info("from the logger %s", text)
    print(f"printed {text}")


def worker_log(context: Context) -> str:
    """What the long-lived worker wrote."""
    return (context.shared.folder.parent / f"worker-{context.side.name}" / "log").read_text(errors="replace")


@feature("`get_task_logger`: lines with the task's name and id", [True, True])
def task_logger(context: Context) -> Any:
    result = logs.delay(context.key)
    got(result)
    text = f"from the logger {context.key}"
    context.wait(lambda: text in worker_log(context), text)
    line = next(line for line in worker_log(context).splitlines() if text in line)
    return ["tests.compat.tasks.logs" in line, result.id in line]


@feature("log lines are text in the format of `worker_task_log_format`", True)
def log_format(context: Context) -> Any:
    got(logs.delay(context.key))
    text = f"from the logger {context.key}"
    context.wait(lambda: text in worker_log(context), text)
    return next(line for line in worker_log(context).splitlines() if text in line).startswith("[")


@feature("what a task prints goes to the log: `worker_redirect_stdouts`", "WARNING")
def redirected(context: Context) -> Any:
    got(logs.delay(context.key))
    text = f"printed {context.key}"
    context.wait(lambda: text in worker_log(context), text)
    line = next(line for line in worker_log(context).splitlines() if text in line)
    return "WARNING" if "WARNING" in line else line.replace(context.key, "KEY")


# Argument checking.


@feature("argument checking at the call", "raises TypeError")
def typing(context: Context) -> Any:
    return outcome(lambda: add.delay(8))


@app.task(typing=False)
def untyped(x: int, y: int) -> int:
    return x + y


@feature("… and none with `typing=False`: the worker's failure", "FAILURE")
def untyped_(context: Context) -> Any:
    result = untyped.delay(8)
    context.wait(result.ready)
    return result.state


@feature("hiding arguments: `argsrepr`, `kwargsrepr`", {"argsrepr": "(<secret>)", "kwargsrepr": "{<secret>}"})
def argsrepr(context: Context) -> Any:
    return request("argsrepr", "kwargsrepr", argsrepr="(<secret>)", kwargsrepr="{<secret>}")


# Retrying.


class Flaky(Exception):
    pass


@app.task(bind=True)
def retries(self: Task, times: int, **how: Any) -> int:
    if self.request.retries < times:
        raise self.retry(countdown=0, **how)
    return int(self.request.retries)


@feature("`self.retry()`", 2)
def retry(context: Context) -> Any:
    return got(retries.delay(2))


@feature("too many retries: `MaxRetriesExceededError`", "raises MaxRetriesExceededError")
def max_retries(context: Context) -> Any:
    return outcome(lambda: got(retries.delay(5, max_retries=1)))


@app.task(bind=True, max_retries=1)
def retries_with(self: Task) -> None:
    try:
        raise Flaky("it")
    except Flaky as error:
        raise self.retry(exc=error, countdown=0) from error


@feature("`retry(exc=…)` raises it in the end", "raises Flaky")
def retry_exc(context: Context) -> Any:
    return outcome(lambda: got(retries_with.delay()))


@app.task(bind=True)
def default_options(self: Task) -> list[Any]:
    return [self.max_retries, self.default_retry_delay, self.expires]


@feature("`max_retries` is 3 by default", 3)
def default_max_retries(context: Context) -> Any:
    return got(default_options.delay())[0]


@app.task(bind=True)
def when_retried(self: Task) -> Any:
    if self.request.retries:
        return None
    return self.retry(throw=False).when


@feature("a retry waits three minutes by default: `default_retry_delay`", 180)
def default_retry_delay(context: Context) -> Any:
    return got(when_retried.delay())


@app.task(bind=True, default_retry_delay=2)
def retries_later(self: Task, key: str) -> None:
    mark(key, time.time())
    if not self.request.retries:
        raise self.retry()


@feature("a custom retry delay: `default_retry_delay=`", True)
def custom_retry_delay(context: Context) -> Any:
    retries_later.delay(context.key)
    first, second = map(float, context.wait_marks(2))
    return second - first > 1.5


@app.task(bind=True)
def retries_at(self: Task, key: str) -> None:
    mark(key, time.time())
    if not self.request.retries:
        raise self.retry(countdown=2)


@feature("`retry(countdown=…)`", True)
def retry_countdown(context: Context) -> Any:
    retries_at.delay(context.key)
    first, second = map(float, context.wait_marks(2))
    return second - first > 1.5


@app.task(bind=True)
def retries_changed(self: Task, x: int, y: int = 0) -> list[int]:
    if not self.request.retries:
        raise self.retry(args=[x + 1], kwargs={"y": 9}, countdown=0)
    return [x, y]


@feature("`retry(args=…, kwargs=…)`", [2, 9])
def retry_arguments(context: Context) -> Any:
    return got(retries_changed.delay(1))


@app.task(bind=True)
def keeps_on(self: Task) -> str:
    if not self.request.retries:
        self.retry(throw=False, countdown=60)
        return "went on"
    return "again"


@feature("`retry(throw=False)`", "went on")
def retry_throw(context: Context) -> Any:
    return got(keeps_on.delay())


@app.task(bind=True, autoretry_for=(Flaky,), retry_kwargs={"max_retries": 2, "countdown": 0})
def auto(self: Task, times: int) -> int:
    if self.request.retries < times:
        raise Flaky(times)
    return int(self.request.retries)


@feature("`autoretry_for`", 2)
def autoretry_for(context: Context) -> Any:
    return got(auto.delay(2))


@feature("`retry_kwargs`: `max_retries` ends it", "raises Flaky")
def retry_kwargs(context: Context) -> Any:
    return outcome(lambda: got(auto.delay(9)))


@app.task(
    bind=True, autoretry_for=(Exception,), dont_autoretry_for=(KeyError,), retry_kwargs={"countdown": 0}
)
def auto_but(self: Task) -> None:
    raise KeyError("no")


@feature("`dont_autoretry_for`", "raises KeyError")
def dont_autoretry_for(context: Context) -> Any:
    return outcome(lambda: got(auto_but.delay()))


@app.task(bind=True, autoretry_for=(Flaky,), retry_backoff=1, retry_jitter=False, max_retries=2)
def backs_off(self: Task, key: str) -> None:
    mark(key, time.time())
    raise Flaky


def waits(context: Context, number: int) -> list[float]:
    """Between the marks."""
    times = [float(each) for each in context.wait_marks(number)]
    return [later - sooner for sooner, later in itertools.pairwise(times)]


@feature("`retry_backoff`: each wait is twice as long", [True, True])
def retry_backoff(context: Context) -> Any:
    backs_off.delay(context.key)
    first, second = waits(context, 3)
    return [first > 0.5, second > 1.5]


@app.task(
    bind=True,
    autoretry_for=(Flaky,),
    retry_backoff=60,
    retry_backoff_max=1,
    retry_jitter=False,
    max_retries=1,
)
def backs_off_little(self: Task, key: str) -> None:
    mark(key, time.time())
    raise Flaky


@feature("`retry_backoff_max`", True)
def retry_backoff_max(context: Context) -> Any:
    backs_off_little.delay(context.key)
    return waits(context, 2)[0] < 30


@app.task(bind=True, autoretry_for=(Flaky,), retry_backoff=2, retry_jitter=True, max_retries=1)
def backs_off_jittered(self: Task, key: str) -> None:
    mark(key, time.time())
    raise Flaky


@feature("`retry_jitter`", True)
def retry_jitter(context: Context) -> Any:
    backs_off_jittered.delay(context.key)
    return waits(context, 2)[0] < 30


class RetriesByClass(Task):
    autoretry_for = (Flaky,)
    max_retries = 1
    retry_backoff = False
    default_retry_delay = 0


@app.task(base=RetriesByClass, bind=True)
def by_class(self: Task) -> int:
    if not self.request.retries:
        raise Flaky
    return int(self.request.retries)


@feature("retry options of a task class", 1)
def retry_options_of_class(context: Context) -> Any:
    return got(by_class.delay())


@app.task(bind=True, max_retries=None)
def for_ever(self: Task) -> int:
    if self.request.retries < 7:
        raise self.retry(countdown=0)
    return int(self.request.retries)


@feature("`max_retries=None`: without end", 7)
def max_retries_none(context: Context) -> Any:
    return got(for_ever.delay())


# Options.


class Expected(Exception):
    pass


@app.task(throws=(Expected,))
def throws(key: str) -> None:
    raise Expected(f"expected {key}")


@feature("`throws`: an expected error is logged as INFO", True)
def throws_(context: Context) -> Any:
    outcome(lambda: got(throws.delay(context.key)))
    text = f"expected {context.key}"
    context.wait(lambda: text in worker_log(context), text)
    return not any("ERROR" in line for line in worker_log(context).splitlines() if text in line)


@app.task(rate_limit="1/s")
def limited(key: str) -> None:
    mark(key, time.time())


@feature("`rate_limit`", True)
def rate_limit(context: Context) -> Any:
    for _ in range(3):
        limited.delay(context.key)
    return sum(waits(context, 3)) > 1.5


@app.task(time_limit=2)
def too_long() -> None:
    time.sleep(60)


def ended(call: Callable[[], Any]) -> bool:
    """Whether a limit ended the task: in it, or with its process."""
    return outcome(call) in ("raises TimeLimitExceeded", "raises SoftTimeLimitExceeded")


@feature("`time_limit`: the task is ended", True, pools=ONLY_PREFORK)
def time_limit(context: Context) -> Any:
    return ended(lambda: got(too_long.delay()))


@app.task(soft_time_limit=1)
def soft() -> str:
    try:
        time.sleep(60)
    except SoftTimeLimitExceeded:
        return "cleaned up"
    return "slept"


@feature("`soft_time_limit`: `SoftTimeLimitExceeded` in the task", "cleaned up", pools=ONLY_PREFORK)
def soft_time_limit(context: Context) -> Any:
    return got(soft.delay())


@app.task(ignore_result=True)
def quiet() -> int:
    return 1


@feature("`ignore_result`", [None, "PENDING"])
def ignore_result(context: Context) -> Any:
    result = quiet.delay()
    return [got(result), context.settled(lambda: app.AsyncResult(result.id).state)]


@app.task(ignore_result=True, store_errors_even_if_ignored=True)
def quiet_but() -> None:
    raise Flaky


@feature("`store_errors_even_if_ignored`", "FAILURE")
def store_errors_even_if_ignored(context: Context) -> Any:
    result = app.AsyncResult(quiet_but.delay().id)
    context.wait(result.ready)
    return result.state


@app.task(serializer="json", compression="zlib")
def compressed(text: str) -> int:
    return len(text)


@feature("`serializer`, `compression` of a task", 5000)
def compression(context: Context) -> Any:
    return got(compressed.delay("x" * 5000))


@app.task(bind=True)
def acks_option(self: Task) -> bool:
    return bool(self.acks_late)


@feature("acknowledged before it runs by default: `acks_late` is False", False)
def acks_early(context: Context) -> Any:
    return got(acks_option.delay())


@app.task(bind=True, acks_late=True, reject_on_worker_lost=True, max_retries=3)
def dies_once(self: Task, key: str) -> str:
    mark(key)
    if runs(key) == 1:
        os.kill(os.getpid(), 9)
    return "survived"


@feature(
    "`acks_late`, `reject_on_worker_lost`: a task whose process is killed runs again", 2, pools=ONLY_PREFORK
)
def reject_on_worker_lost(context: Context) -> Any:
    dies_once.delay(context.key)
    return len(context.wait_marks(2))


@app.task(acks_late=False, reject_on_worker_lost=False)
def dies_early(key: str) -> None:
    mark(key)
    os.kill(os.getpid(), 9)


@feature(
    "`acks_late=False`: a task whose process is killed runs once",
    [1, "raises WorkerLostError"],
    pools=ONLY_PREFORK,
)
def acks_late_false(context: Context) -> Any:
    result = dies_early.delay(context.key)
    found = outcome(lambda: got(result))
    return [len(context.marks()), found]


@app.task(acks_late=True, acks_on_failure_or_timeout=False, bind=True, max_retries=0)
def fails_unacknowledged(self: Task, key: str) -> str:
    mark(key)
    if runs(key) == 1:
        raise Flaky
    return "ran"


@feature("`acks_on_failure_or_timeout=False`: a failure is rejected, not run again", [1, "FAILURE"])
def acks_on_failure_or_timeout(context: Context) -> Any:
    result = fails_unacknowledged.delay(context.key)
    context.wait(result.ready)
    return [context.settled(lambda: len(context.marks())), result.state]


@app.task(track_started=True)
def tracked(key: str) -> None:
    mark(key)
    time.sleep(4)


@feature("`track_started`: the state STARTED", "STARTED")
def track_started(context: Context) -> Any:
    result = tracked.delay(context.key)
    context.wait_marks()
    context.wait(lambda: result.state != "PENDING")
    return result.state


@app.task(resultrepr_maxsize=20)
def long_result() -> str:
    return "y" * 100


@feature("`resultrepr_maxsize`", 100)
def resultrepr_maxsize(context: Context) -> Any:
    return len(got(long_result.delay()))


@app.task(bind=True, shadow_name=lambda task, args, kwargs, options: f"shadow of {args[0]}")
def shadowed(self: Task, what: str) -> str:
    return str(self.request.shadow)


@feature("`shadow_name`", "shadow of it")
def shadow_name(context: Context) -> Any:
    return got(shadowed.delay("it"))


# States.


@app.task
def fails(text: str = "it") -> None:
    raise ValueError(text)


@feature("PENDING for an id that nobody knows", "PENDING")
def pending(context: Context) -> Any:
    return app.AsyncResult(f"nobody-knows-{context.key}").state


@feature("SUCCESS with its result", ["SUCCESS", 4, True])
def success(context: Context) -> Any:
    result = add.delay(1, 3)
    got(result)
    return [result.state, result.result, result.successful()]


@feature("FAILURE with its exception and traceback", ["FAILURE", "ValueError", ["it"], True])
def failure(context: Context) -> Any:
    result = fails.delay()
    context.wait(result.ready)
    return [result.state, type(result.result).__name__, list(result.result.args), "fails" in result.traceback]


@app.task(bind=True)
def retries_in_a_while(self: Task) -> None:
    raise self.retry(exc=Flaky("not yet"), countdown=60)


@feature("RETRY with its exception", ["RETRY", "Flaky"])
def retry_state(context: Context) -> Any:
    result = retries_in_a_while.delay()
    context.wait(lambda: result.state != "PENDING")
    return [result.state, type(result.result).__name__]


@app.task(bind=True)
def progress(self: Task, key: str) -> None:
    self.update_state(state="PROGRESS", meta={"done": 3, "of": 10})
    mark(key)
    time.sleep(3)


@feature("custom states: `update_state`", ["PROGRESS", {"done": 3, "of": 10}])
def custom_states(context: Context) -> Any:
    result = progress.delay(context.key)
    context.wait_marks()
    return [result.state, result.info]


class HttpError(Exception):
    def __init__(self, status_code: int, text: str = "") -> None:
        self.status_code = status_code
        super().__init__(status_code, text)


@app.task
def http_error() -> None:
    raise HttpError(404, "gone")


@feature("exceptions of one's own come back as they are", ["HttpError", [404, "gone"]])
def own_exceptions(context: Context) -> Any:
    result = http_error.delay()
    context.wait(result.ready)
    return [type(result.result).__name__, list(result.result.args)]


class Unpickleable(Exception):
    def __init__(self, made: Any) -> None:
        super().__init__()
        self.made = made


@app.task
def unpickleable() -> None:
    raise Unpickleable(lambda: None)


@feature("exceptions that can't be pickled", "FAILURE")
def unpickleable_exceptions(context: Context) -> Any:
    result = unpickleable.delay()
    context.wait(result.ready)
    return result.state


# Semipredicates.


@app.task(bind=True)
def ignores(self: Task, key: str) -> None:
    self.update_state(state="MINE", meta="own state")
    mark(key)
    raise Ignore


@feature("`Ignore`", ["MINE", "own state"])
def ignore(context: Context) -> Any:
    result = ignores.delay(context.key)
    context.wait_marks()
    return context.settled(lambda: [result.state, result.info], 1)


@app.task(bind=True, acks_late=True)
def rejects(self: Task, key: str, requeue: bool) -> str:
    mark(key)
    if runs(key) == 1:
        raise Reject("not now", requeue=requeue)
    return "done"


@feature("`Reject(requeue=False)`: it does not run again", [1, "FAILURE"])
def reject(context: Context) -> Any:
    result = rejects.delay(context.key, False)
    context.wait_marks()
    return context.settled(lambda: [len(context.marks()), result.state])


@feature("`Reject(requeue=True)`: it runs again", [2, "done"])
def reject_requeue(context: Context) -> Any:
    result = rejects.delay(context.key, True)
    return [len(context.wait_marks(2)), got(result)]


# Task classes.


class Counted(Task):
    made = 0

    def __init__(self) -> None:
        self.own = 0

    def count(self) -> int:
        self.own += 1
        return self.own


@app.task(base=Counted, bind=True)
def counted(self: Any) -> list[int]:
    return [self.count(), os.getpid()]


@feature("a task class is instantiated once a process, and keeps its state", True)
def instantiation(context: Context) -> Any:
    seen = [got(counted.delay()) for _ in range(8)]
    return len(seen) == len({(count, pid) for count, pid in seen})


class Handled(Task):
    abstract = True

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        mark(kwargs["key"], "before_start")

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        mark(kwargs["key"], f"on_success {retval}")

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        mark(kwargs["key"], f"on_failure {type(exc).__name__}")

    def on_retry(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        mark(kwargs["key"], f"on_retry {type(exc).__name__}")

    def after_return(
        self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        mark(kwargs["key"], f"after_return {status}")


@app.task(base=Handled, bind=True)
def handled(self: Task, what: str, key: str = "") -> str:
    if what == "fail":
        raise ValueError
    if what == "retry" and not self.request.retries:
        raise self.retry(exc=Flaky(), countdown=1)
    return what


@feature(
    "handlers: `before_start`, `on_success`, `after_return`",
    ["before_start", "on_success ok", "after_return SUCCESS"],
)
def handlers_of_success(context: Context) -> Any:
    handled.delay("ok", key=context.key)
    return context.wait_marks(3)


@feature("handlers: `on_failure`", ["before_start", "on_failure ValueError", "after_return FAILURE"])
def handlers_of_failure(context: Context) -> Any:
    handled.delay("fail", key=context.key)
    return context.wait_marks(3)


@feature(
    "handlers: `on_retry`",
    [
        "before_start",
        "on_retry Flaky",
        "before_start",
        "on_success retry",
        "after_return SUCCESS",
    ],
)
def handlers_of_retry(context: Context) -> Any:
    handled.delay("retry", key=context.key)
    return context.wait_marks(5)


class MyRequest(Request):  # type: ignore[misc]
    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        mark(self.kwargs["key"], f"request {self.task.name}")
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        super().on_timeout(soft, timeout)
        mark(self.kwargs["key"], f"timeout {soft}")


class Requesting(Task):
    Request = MyRequest


@app.task(base=Requesting, time_limit=2)
def requesting(key: str = "") -> None:
    time.sleep(60)


@feature(
    "custom requests: `Request` with `on_timeout`, `on_failure`",
    ["request", "timeout"],
    pools=ONLY_PREFORK,
)
def custom_request(context: Context) -> Any:
    requesting.delay(key=context.key)

    def kinds() -> set[str]:
        return {each.split()[0] for each in context.marks()}

    context.wait(lambda: len(kinds()) == 2)
    return sorted(kinds())


class AppWide(Task):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return ["app-wide", self.run(*args, **kwargs)]


@feature("an app-wide class: `task_cls`", ["app-wide", 4], once=True, alone=True)
def task_cls(context: Context) -> Any:
    from tests.compat import app as the_app

    made = the_app.configure(Celery("wide", set_as_current=False, task_cls=AppWide), {})

    @made.task  # type: ignore[untyped-decorator]
    def four() -> int:
        return 4

    return four.apply().get()


# What a task can do.


@app.task(bind=True)
def replaced(self: Task, x: int) -> Any:
    return self.replace(add.s(x, 10))


@feature("`self.replace`", 15)
def replace(context: Context) -> Any:
    return got(replaced.delay(5))


@app.task(bind=True)
def adds_to_chord(self: Task) -> int:
    self.add_to_chord(add.si(20, 20))
    return 1


@app.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@feature("`self.add_to_chord`", 43)
def add_to_chord(context: Context) -> Any:
    from celery import chord

    return got(chord([adds_to_chord.si(), add.si(1, 1)])(total.s()))


@app.task
def parent() -> list[str]:
    return [add.delay(1, 1).id, add.delay(2, 2).id]


@feature("`result.children`: tasks that a task started", [True, [2, 4]])
def children(context: Context) -> Any:
    result = parent.delay()
    ids = got(result)
    return [[each.id for each in result.children] == ids, [got(each) for each in result.children]]


@app.task(trail=False)
def parent_without_trail() -> None:
    add.delay(1, 1)


@feature("`trail=False`", [])
def trail(context: Context) -> Any:
    result = parent_without_trail.delay()
    got(result)
    return result.children or []


@app.task
def waits_within() -> Any:
    return outcome(lambda: add.delay(1, 1).get(timeout=20))


@feature("waiting for a task in a task is refused", "raises RuntimeError", pools=("prefork", "threads"))
def synchronous_subtask(context: Context) -> Any:
    return got(waits_within.delay())


@app.task
def waits_within_all_the_same() -> Any:
    return add.apply_async((1, 1), queue="high").get(disable_sync_subtasks=False, timeout=60)


@feature("… but with `disable_sync_subtasks=False`", 2)
def disable_sync_subtasks(context: Context) -> Any:
    return got(waits_within_all_the_same.delay())


@feature("a task is a function when it is called", 5, once=True)
def called(context: Context) -> Any:
    return add(2, 3)


@feature("`task.apply()`: in this process", ["SUCCESS", True], once=True, alone=True)
def apply(context: Context) -> Any:
    eager = about.apply(("is_eager",))
    return [eager.state, eager.get()["is_eager"]]


@app.task(bind=True)
def sends(self: Task) -> None:
    self.send_event("task-compat", progress=3)


@app.task
def on_error(request: Any, exc: Any, traceback: Any, key: str = "") -> None:
    mark(key or request.kwargs.get("key", "errors"), type(exc).__name__)


ON_COMMIT = """
import django
from django.conf import settings
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
django.setup()
from celery.contrib.django.task import DjangoTask
from django.db import transaction
from tests.compat.app import app
seen = []
class Noting(DjangoTask):
    def delay(self, *args, **kwargs):
        seen.append(bool(super().delay(*args, **kwargs).id))
@app.task(base=Noting, name="tests.compat.tasks.add_later")
def add_later(x, y):
    pass
with transaction.atomic():
    add_later.delay_on_commit(1, 1)
    before = list(seen)
print(before, seen)
"""


@feature("Django: `delay_on_commit`", "[] [True]", once=True)
def delay_on_commit(context: Context) -> Any:
    return context.python(ON_COMMIT).strip()
