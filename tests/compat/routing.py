"""The chapter on routing: https://docs.celeryq.dev/en/stable/userguide/routing.html"""

from __future__ import annotations

import re
from typing import Any

from celery import Celery, Task
from kombu import Exchange, Queue, binding
from kombu.common import Broadcast

from tests.compat.app import app, mark
from tests.compat.context import Context, outcome
from tests.compat.feature import feature
from tests.compat.tasks import about, add, got
from tests.compat.workers import inspected


def ran_in(context: Context, made: Celery = app, **options: Any) -> Any:
    """The queue where a task that this application sends runs."""
    result = made.send_task(about.name, ("delivery_info",), **options)
    return context.logical(got(result)["delivery_info"]["routing_key"])


def routed(context: Context, routes: Any, **options: Any) -> Any:
    """The same, with these `task_routes`."""
    return ran_in(context, context.make_app(task_routes=routes), **options)


# Automatic routing.


@feature("`task_routes`: a task's name", "feeds")
def routes(context: Context) -> Any:
    return routed(context, {about.name: {"queue": "feeds"}})


@feature("`task_routes`: the queue's name alone", "feeds")
def routes_text(context: Context) -> Any:
    return routed(context, {about.name: "feeds"})


@feature("`task_routes`: a glob pattern", "feeds")
def routes_glob(context: Context) -> Any:
    return routed(context, {"tests.compat.*": {"queue": "feeds"}})


@feature("`task_routes`: a regular expression", "feeds")
def routes_regex(context: Context) -> Any:
    return routed(context, {re.compile(r"tests\.(compat|other)\..*"): {"queue": "feeds"}})


@feature("`task_routes`: a list, the first that matches wins", "high")
def routes_list(context: Context) -> Any:
    return routed(context, ([("tests.compat.tasks.*", {"queue": "high"}), ("tests.*", {"queue": "feeds"})],))


def route_task(name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **_more: Any) -> Any:
    """A router."""
    return {"queue": "feeds"} if name == about.name else None


@feature("routers: a function", "feeds")
def router(context: Context) -> Any:
    return routed(context, (route_task,))


@feature("routers: a function by its name", "feeds")
def router_name(context: Context) -> Any:
    return routed(context, ("tests.compat.routing.route_task",))


@feature("routers: what is in none goes to the default queue", "celery")
def router_default(context: Context) -> Any:
    return routed(context, {"another.task": "feeds"})


@feature("the default queue: `task_default_queue`", "high")
def default_queue(context: Context) -> Any:
    return ran_in(context, context.make_app(task_default_queue="high"))


@feature("`celery` is the default queue", "celery")
def celery_queue(context: Context) -> Any:
    return ran_in(context)


# Destination.


@feature("a call's `queue=` wins over `task_routes`", "high")
def call_wins(context: Context) -> Any:
    return routed(context, {about.name: "feeds"}, queue="high")


@app.task(bind=True, queue="high")
def in_high(self: Task) -> str:
    """With a queue of its own."""
    return str(self.request.delivery_info["routing_key"])


@feature("a task's own `queue`", "high")
def of_task(context: Context) -> Any:
    return context.logical(got(in_high.delay()))


@feature("`queue=` as a kombu `Queue`", "high")
def queue_object(context: Context) -> Any:
    return ran_in(context, queue=Queue("high"))


@app.task(bind=True)
def retried(self: Task) -> str:
    """Once."""
    if not self.request.retries:
        raise self.retry(countdown=0)
    return str(self.request.delivery_info["routing_key"])


@feature("a retry goes to the queue of its task", "high")
def retry(context: Context) -> Any:
    return context.logical(got(retried.apply_async(queue="high")))


@app.task
def starts_another() -> str:
    """The id of its child."""
    return str(about.delay("delivery_info").id)


@feature("a child goes to its own queue, not its parent's", "celery")
def child(context: Context) -> Any:
    seen = got(app.AsyncResult(got(starts_another.apply_async(queue="high"))))
    return context.logical(seen["delivery_info"]["routing_key"])


# Queues that are made when they are named.


@feature("a queue that nobody declared is made: `task_create_missing_queues`", "accepted")
def missing_queue(context: Context) -> Any:
    return outcome(lambda: add.apply_async((1, 1), queue="brand_new") and "accepted")


@feature("`task_create_missing_queues=False`: an error", "raises QueueNotFound")
def no_missing_queue(context: Context) -> Any:
    made = context.make_app(task_create_missing_queues=False, task_queues=[Queue("high")])
    return outcome(lambda: made.send_task(add.name, (1, 1), queue="brand_new"))


# Manual routing.

MEDIA = Exchange("media", type="direct")
QUEUES = (
    Queue("celery", Exchange("celery"), routing_key="celery"),
    Queue("high", MEDIA, routing_key="video"),
    Queue("feeds", MEDIA, routing_key="image"),
)


@feature("a direct exchange: `exchange=`, `routing_key=` of a call", ["high", "feeds"])
def direct(context: Context) -> Any:
    made = context.make_app(task_queues=QUEUES)
    how = {"exchange": "media", "exchange_type": "direct"}
    return [where(context, made, routing_key=key, **how) for key in ("video", "image")]


def where(context: Context, made: Celery, **options: Any) -> Any:
    """The queue in whose worker it ran; the routing key is another on stock."""
    if context.side.is_fleet:
        return ran_in(context, made, **options)
    result = send(context, made, about.name, ("delivery_info",), **options)
    key = got(result)["delivery_info"]["routing_key"]
    return next(each.name for each in made.amqp.queues.values() if matches(each, key))


def send(context: Context, made: Celery, name: str, args: Any, **options: Any) -> Any:
    """Send it; on stock its producer has declared the queues, and so knows the exchanges."""
    if context.side.is_fleet:
        return made.send_task(name, args, **options)
    with made.producer_pool.acquire(block=True) as producer:
        for each in made.amqp.queues.values():
            each(producer.channel).declare()
        return made.send_task(name, args, producer=producer, **options)


def matches(queue: Queue, key: str) -> bool:
    """Whether the queue is bound with that key, or a pattern for it."""
    keys = [queue.routing_key, *(each.routing_key for each in queue.bindings)]
    return key == queue.name or any(
        re.fullmatch(each.replace(".", r"\.").replace("#", ".*"), key) for each in keys if each
    )


@feature("… in `task_routes`", "feeds")
def direct_route(context: Context) -> Any:
    route = {"exchange": "media", "exchange_type": "direct", "routing_key": "image"}
    return where(context, context.make_app(task_queues=QUEUES, task_routes={about.name: route}))


@feature("a topic exchange", "feeds")
def topic(context: Context) -> Any:
    topics = Exchange("topics", type="topic")
    queues = (
        Queue("celery", Exchange("celery"), routing_key="celery"),
        Queue("feeds", topics, routing_key="feed.#"),
        Queue("high", topics, routing_key="high.#"),
    )
    made = context.make_app(task_queues=queues)
    return where(context, made, queue="feeds", routing_key="feed.import")


@feature("several bindings of a queue", "feeds")
def bindings(context: Context) -> Any:
    both = [binding(MEDIA, routing_key="one"), binding(MEDIA, routing_key="two")]
    queues = (Queue("celery", Exchange("celery"), routing_key="celery"), Queue("feeds", bindings=both))
    made = context.make_app(task_queues=queues)
    return where(context, made, exchange="media", exchange_type="direct", routing_key="two")


@feature("`task_default_exchange`, `task_default_routing_key`", "high")
def default_exchange(context: Context) -> Any:
    made = context.make_app(
        task_queues=QUEUES,
        task_default_queue="high",
        task_default_exchange="media",
        task_default_routing_key="video",
    )
    return where(context, made)


@app.task
def noted(key: str, what: Any) -> None:
    """Leave a mark."""
    mark(key, what)


@feature("`Broadcast`: each worker gets it", 2, brokers=("redis",), once=True)
def broadcast(context: Context) -> Any:
    for name in ("first", "second"):
        context.worker(queues=(), name=f"{name}-{context.key}", COMPAT_MODULES="tests.compat.broadcasting")
    route = {"queue": "to_all", "exchange": "to_all", "routing_key": "celery"}
    made = context.make_app(task_queues=[Broadcast("to_all")], task_routes={noted.name: route})
    send(context, made, noted.name, (context.key, "got it"))
    return len(context.wait_marks(2))


@feature("a worker without `-Q` consumes all of `task_queues`", True, once=True)
def all_queues(context: Context) -> Any:
    first, second = context.shared.take(), context.shared.take()
    conf = {"task_queues": {first: {"exchange": first}, second: {"exchange": second}}}
    worker = context.worker(queues=(), conf=conf)
    return {each["name"] for each in inspected(worker, "active_queues")} == {first, second}


@feature("a queue of one worker: `worker_direct`", 4)
def worker_direct(context: Context) -> Any:
    worker = context.worker(conf={"worker_direct": True})
    made = context.make_app(worker_direct=True)
    return got(made.send_task(add.name, (2, 2), queue=f"{worker.node}.dq2", exchange="C.dq2"))


# Priorities.


def in_order(context: Context, priorities: list[int], **conf: Any) -> list[int]:
    """The order in which a worker of one slot runs what was sent with these priorities."""
    queue, made = context.shared.take(), context.make_app(**conf)
    for each in priorities:
        made.send_task(noted.name, (context.key, each), queue=queue, priority=each)
    context.worker(slots=1, queues=(queue,), conf=conf)
    return [int(each) for each in context.wait_marks(len(priorities))]


@feature("priorities on Redis: 0 is the most urgent", [0, 3, 6, 9], brokers=("redis",))
def priorities(context: Context) -> Any:
    return in_order(context, [9, 3, 6, 0])


@feature("`priority_steps`", [2, 3, 4, 5], brokers=("redis",), once=True)
def priority_steps(context: Context) -> Any:
    options = {"priority_steps": list(range(10)), "queue_order_strategy": "priority"}
    return in_order(context, [5, 4, 3, 2], broker_transport_options=options)


@feature("`task_default_priority`", 6)
def default_priority(context: Context) -> Any:
    made = context.make_app(task_default_priority=6)
    task = made.task(about.run, name=about.name, bind=True)
    return got(task.delay("delivery_info"))["delivery_info"]["priority"]


@app.task
def starts_one() -> str:
    """The id of its child."""
    return str(about.delay("delivery_info").id)


@feature("`task_inherit_parent_priority`", 3)
def inherit_priority(context: Context) -> Any:
    conf = {"task_inherit_parent_priority": True}
    worker = context.worker(conf=conf)
    its_id = got(starts_one.apply_async(queue=worker.queue, priority=3))
    return got(app.AsyncResult(its_id))["delivery_info"]["priority"]


@feature("`task_routes` with a priority", 9)
def route_priority(context: Context) -> Any:
    made = context.make_app(task_routes={about.name: {"queue": "high", "priority": 9}})
    return got(made.send_task(about.name, ("delivery_info",)))["delivery_info"]["priority"]
