"""The chapter on workers: https://docs.celeryq.dev/en/stable/userguide/workers.html"""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import redis
from celery import Task
from celery.worker.control import control_command, inspect_command

from tests.compat.app import app, mark
from tests.compat.context import Context, Process, outcome
from tests.compat.feature import feature
from tests.compat.tasks import ONLY_PREFORK, add, got

ONLY_REDIS = ("redis",)  # SQS has no fan-out, so Celery has no remote control on it


@app.task(bind=True)
def where(self: Task) -> list[Any]:
    """Which worker and which process."""
    return [self.request.hostname, os.getpid()]


@app.task
def long(key: str, seconds: float) -> str:
    """Leaves marks when it begins and when it ends."""
    mark(key, "began")
    time.sleep(seconds)
    mark(key, "ended")
    return "ended"


# Starting.


@feature("a worker starts and runs what is in its queue", 4)
def starts(context: Context) -> Any:
    return got(add.apply_async((2, 2), queue=context.worker().queue))


@feature("several workers on one machine share a queue", 2)
def several(context: Context) -> Any:
    first = context.worker(slots=1)
    context.worker(slots=1, queues=(first.queue,), name="second")
    results = [where.apply_async(queue=first.queue, countdown=0.1 * n) for n in range(30)]
    return len({got(each)[0] for each in results})


@feature("`-n`: a node name with `%h`, `%n`, `%d`", True, once=True)
def hostname(context: Context) -> Any:
    worker = context.worker("-n", "mine@%h")
    seen = got(where.apply_async(queue=worker.queue))[0]
    return seen == f"mine@{os.uname().nodename}"


@feature("`-c`: how many processes", 3, once=True)
def concurrency(context: Context) -> Any:
    worker = context.worker("-c", "3", slots=None)
    return inspected(worker, "stats")["pool"]["max-concurrency"]


@feature("`-P solo`", "solo", once=True)
def solo(context: Context) -> Any:
    worker = context.worker("-P", "solo", slots=None)
    return inspected(worker, "stats")["pool"]["implementation"].split(":")[0].rpartition(".")[2]


@feature("`-l`: the level of logs", False, once=True)
def loglevel(context: Context) -> Any:
    worker = context.worker("-l", "ERROR", ready=False)
    got(add.apply_async((2, 2), queue=worker.queue), worker)
    return "ready" in worker.text()


@feature("`-f`: a log file, with `%n` and `%i`", True, once=True)
def logfile(context: Context) -> Any:
    path = context.shared.folder / f"{context.key}-%n%I.log"
    worker = context.worker("-f", str(path), ready=False)
    got(add.apply_async((2, 2), queue=worker.queue), worker)
    written = [each.name for each in context.shared.folder.glob(f"{context.key}-*.log")]
    return f"{context.key}-{worker.queue}.log" in written and len(written) > 1


@feature("`--pidfile`", True, once=True)
def pidfile(context: Context) -> Any:
    path = context.shared.folder / f"{context.key}.pid"
    worker = context.worker(f"--pidfile={path}")
    return int(path.read_text()) == worker.pid


@feature("`-D`: in the background", True, once=True)
def detach(context: Context) -> Any:
    path = context.shared.folder / f"{context.key}.pid"
    worker = context.worker("-D", f"--pidfile={path}", f"--logfile={path}.log", ready=False)
    assert worker.ended() == 0, worker.text()
    result = got(add.apply_async((2, 2), queue=worker.queue))
    os.kill(int(path.read_text()), signal.SIGTERM)
    return result == 4


@feature("`-X`: not these queues", ["own"], once=True)
def exclude_queues(context: Context) -> Any:
    queue = context.shared.take()
    conf = {"task_queues": {queue: {"exchange": queue}, "celery": {"exchange": "celery"}}}
    worker = context.worker("-X", "celery", conf=conf, queues=())
    return [each["name"][:3] for each in inspected(worker, "active_queues")]


@feature("`-I`: modules besides", True, once=True)
def include(context: Context) -> Any:
    worker = context.worker("-I", "tests.compat.besides")
    return got(app.send_task("besides.there", queue=worker.queue))


@feature("`--purge`: what waits is deleted first", 0, once=True)
def purge(context: Context) -> Any:
    queue = context.shared.take()
    long.apply_async((context.key, 0), queue=queue)
    context.worker("--purge", queues=(queue,))
    return context.settled(lambda: len(context.marks()))


@feature("`-E`: task events", True, once=True)
def task_events(context: Context) -> Any:
    worker = context.worker("-E")
    listens(worker)
    reply = app.control.enable_events(destination=[worker.node], reply=True, timeout=10, limit=1)
    return "already enabled" in str(reply)


@feature("`-O default`", 4, once=True)
def optimization(context: Context) -> Any:
    return got(add.apply_async((2, 2), queue=context.worker("-O", "default").queue))


@feature("`--prefetch-multiplier`", 6, once=True)
def prefetch_multiplier_option(context: Context) -> Any:
    worker = context.worker("--prefetch-multiplier", "3")
    return inspected(worker, "stats")["prefetch_count"]


@feature("`--disable-prefetch`", 4, once=True)
def disable_prefetch(context: Context) -> Any:
    return got(add.apply_async((2, 2), queue=context.worker("--disable-prefetch").queue))


@feature("`--time-limit`, `--soft-time-limit`", "raises SoftTimeLimitExceeded", once=True)
def time_limit_options(context: Context) -> Any:
    worker = context.worker("--soft-time-limit", "1", "--time-limit", "10")
    return outcome(lambda: got(long.apply_async((context.key, 30), queue=worker.queue)))


@feature("`--max-tasks-per-child`", True, once=True)
def max_tasks_option(context: Context) -> Any:
    worker = context.worker("--max-tasks-per-child", "1", slots=1)
    return len({got(where.apply_async(queue=worker.queue))[1] for _ in range(3)}) == 3


@feature("`--max-memory-per-child`", True, once=True)
def max_memory_option(context: Context) -> Any:
    worker = context.worker("--max-memory-per-child", "1000", slots=1)
    return len({got(where.apply_async(queue=worker.queue))[1] for _ in range(3)}) == 3


@feature("`--pool-start-method spawn`", 4, once=True)
def pool_start_method(context: Context) -> Any:
    worker = context.worker("--pool-start-method", "spawn", slots=1)
    return got(add.apply_async((2, 2), queue=worker.queue))


@feature("`--autoscale`", True, once=True)
def autoscale(context: Context) -> Any:
    worker = context.worker("--autoscale", "3,1", slots=None)
    return "autoscaler" in inspected(worker, "stats")


@feature("`-B`: beat within a worker", True, once=True)
def embedded_beat(context: Context) -> Any:
    conf = {
        "beat_schedule": {
            "often": {"task": "tests.compat.workers.long", "schedule": 1.0, "args": [context.key, 0]}
        }
    }
    queue = context.shared.take()
    conf["beat_schedule"]["often"]["options"] = {"queue": queue}  # type: ignore[index]
    path = context.shared.folder / f"{context.key}-schedule"
    context.worker("-B", "-s", str(path), queues=(queue,), conf=conf)
    return len(context.wait_marks(2)) >= 2


@feature("`--without-gossip`, `--without-mingle`, `--without-heartbeat`", 4, once=True)
def without(context: Context) -> Any:
    arguments = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    return got(add.apply_async((2, 2), queue=context.worker(*arguments).queue))


@feature("`celery multi start`, `stopwait`", [True, True], once=True)
def multi(context: Context) -> Any:
    queue = context.shared.take()
    place = context.shared.folder / context.key
    place.mkdir()
    files = [f"--pidfile={place}/%n.pid", f"--logfile={place}/%n.log"]
    context.celery("multi", "start", "many", "-A", "tests.compat.app", "-c1", "-Q", queue, *files)
    ran = outcome(lambda: add.apply_async((2, 2), queue=queue).get(timeout=20))
    context.celery("multi", "stopwait", "many", *files)
    return [ran == 4, not list(place.glob("*.pid"))]


# Stopping.


def busy(context: Context, seconds: float, **options: Any) -> Process:
    """A worker that has begun a task of that length."""
    worker = context.worker(**options)
    long.apply_async((context.key, seconds), queue=worker.queue)
    context.wait_marks()
    return worker


@feature("TERM: a warm shutdown, what runs is finished", [0, ["began", "ended"]])
def warm(context: Context) -> Any:
    worker = busy(context, 2)
    worker.send(signal.SIGTERM)
    return [worker.ended(), context.marks()]


@feature("… however long it takes", ["began", "ended"], pools=ONLY_PREFORK)
def warm_unbounded(context: Context) -> Any:
    worker = busy(context, 8)
    worker.send(signal.SIGTERM)
    worker.ended()
    return context.marks()


@feature("INT: a warm shutdown, too", ["began", "ended"], pools=ONLY_PREFORK)
def interrupt(context: Context) -> Any:
    worker = busy(context, 2)
    worker.send(signal.SIGINT)
    worker.ended()
    return context.marks()


@feature("QUIT: a cold shutdown, what runs is stopped", ["began"], pools=ONLY_PREFORK)
def cold(context: Context) -> Any:
    worker = busy(context, 30)
    worker.send(signal.SIGQUIT)
    worker.ended()
    return context.marks()


@feature("`REMAP_SIGTERM=SIGQUIT`: TERM is cold", ["began"], pools=ONLY_PREFORK)
def remap(context: Context) -> Any:
    worker = busy(context, 3, REMAP_SIGTERM="SIGQUIT")
    worker.send(signal.SIGTERM)
    worker.ended()
    return context.marks()


@feature(
    "`worker_soft_shutdown_timeout`: what runs has that long after QUIT",
    ["began", "ended"],
    pools=ONLY_PREFORK,
)
def soft(context: Context) -> Any:
    worker = busy(context, 2, conf={"worker_soft_shutdown_timeout": 6.0})
    worker.send(signal.SIGQUIT)
    worker.ended()
    return context.marks()


@feature("what has not begun goes back to the queue at a shutdown", True)
def gives_back(context: Context) -> Any:
    worker = context.worker(slots=1)
    result = add.apply_async((2, 2), queue=worker.queue, countdown=6)
    time.sleep(1)
    worker.send(signal.SIGTERM)
    worker.ended()
    context.worker(queues=(worker.queue,))
    return got(result) == 4


@feature("HUP: it starts itself anew", 4, pools=ONLY_PREFORK)
def hup(context: Context) -> Any:
    worker = context.worker()
    worker.send(signal.SIGHUP)
    worker.wait_says(" ready.", times=2)
    return got(add.apply_async((2, 2), queue=worker.queue))


@feature("USR1: the stack of each thread is printed", True, pools=ONLY_PREFORK)
def usr1(context: Context) -> Any:
    worker = context.worker()
    worker.send(signal.SIGUSR1)
    worker.wait_says("MainThread")
    return got(add.apply_async((2, 2), queue=worker.queue)) == 4


@feature("children end with a worker that is killed", True, pools=ONLY_PREFORK)
def children(context: Context) -> Any:
    worker = context.worker(slots=1)
    pid = got(where.apply_async(queue=worker.queue))[1]
    worker.send(signal.SIGKILL)
    worker.ended()
    context.wait(lambda: not _lives(pid))
    return True


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@feature("it connects again after the broker cut its connections", 4, brokers=ONLY_REDIS, alone=True)
def reconnects(context: Context) -> Any:
    worker = context.worker()
    with redis.Redis.from_url(context.side.redis) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    return got(add.apply_async((2, 2), queue=worker.queue))


# Limits.


@feature("`worker_max_tasks_per_child`", 3, pools=ONLY_PREFORK)
def max_tasks(context: Context) -> Any:
    worker = context.worker(slots=1, conf={"worker_max_tasks_per_child": 1})
    return len({got(where.apply_async(queue=worker.queue))[1] for _ in range(3)})


@feature("`worker_max_memory_per_child`", 3, pools=ONLY_PREFORK)
def max_memory(context: Context) -> Any:
    worker = context.worker(slots=1, conf={"worker_max_memory_per_child": 1000})
    return len({got(where.apply_async(queue=worker.queue))[1] for _ in range(3)})


@feature(
    "`task_soft_time_limit`, `task_time_limit` of the application",
    "raises SoftTimeLimitExceeded",
    pools=ONLY_PREFORK,
)
def time_limits(context: Context) -> Any:
    worker = context.worker(conf={"task_soft_time_limit": 1, "task_time_limit": 20})
    return outcome(lambda: got(long.apply_async((context.key, 30), queue=worker.queue)))


# Remote control.


def control_worker(context: Context) -> Process:
    """One that features may tell what they like, but to stop."""
    worker = context.shared_worker("control")
    context.shared.once("control listens", lambda: listens(worker))
    return worker


def listens(worker: Process) -> None:
    """Return once it answers."""
    from tests.support.processes import wait_for

    wait_for(lambda: app.control.ping([worker.node], timeout=2, limit=1), seconds=60, what="a pong")


def inspected(worker: Process, command: str, *args: Any, **kwargs: Any) -> Any:
    """The same, of any worker."""
    listens(worker)
    inspect = app.control.inspect(destination=[worker.node], timeout=20, limit=1)
    return getattr(inspect, command)(*args, **kwargs)[worker.node]


def ask(context: Context, command: str, *args: Any, **kwargs: Any) -> Any:
    """What the worker answers to an `inspect` command."""
    return inspected(control_worker(context), command, *args, **kwargs)


def tell(context: Context, command: str, *args: Any, **kwargs: Any) -> Any:
    """What the worker answers to a `control` command."""
    worker = control_worker(context)
    method = getattr(app.control, command)
    reply = method(*args, destination=[worker.node], reply=True, timeout=10, limit=1, **kwargs)
    return reply[0][worker.node]


@feature("`control.ping`", {"ok": "pong"}, brokers=ONLY_REDIS)
def ping(context: Context) -> Any:
    return tell(context, "broadcast", "ping")


@feature("`control.broadcast` to all, without a reply", True, brokers=ONLY_REDIS)
def broadcast(context: Context) -> Any:
    control_worker(context)
    assert app.control.broadcast("compat_mark", arguments={"key": context.key}) is None
    return len(context.wait_marks(2)) >= 2


@feature("`broadcast(pattern=…, matcher='glob')`", 1, brokers=ONLY_REDIS)
def pattern(context: Context) -> Any:
    worker = control_worker(context)
    return len(
        app.control.broadcast(
            "ping", reply=True, timeout=3, pattern=f"{worker.node.partition('@')[0]}@*", matcher="glob"
        )
    )


@feature("`inspect.active`", True, brokers=ONLY_REDIS)
def active(context: Context) -> Any:
    result = long.apply_async((context.key, 15), queue=control_worker(context).queue)
    context.wait_marks()
    return result.id in [each["id"] for each in ask(context, "active")]


@feature("`inspect.scheduled`: ETAs", True, brokers=ONLY_REDIS)
def scheduled(context: Context) -> Any:
    result = add.apply_async((1, 1), queue=control_worker(context).queue, countdown=60)
    return context.happens(lambda: result.id in [each["request"]["id"] for each in ask(context, "scheduled")])


@feature("`inspect.reserved`: what waits in the worker for a free slot", True, brokers=ONLY_REDIS)
def reserved(context: Context) -> Any:
    worker = context.worker(slots=1)
    listens(worker)
    long.apply_async((context.key, 6), queue=worker.queue)
    context.wait_marks()
    for _ in range(4):
        add.apply_async((1, 1), queue=worker.queue)
    time.sleep(1)
    return len(inspected(worker, "reserved")) > 0


@feature("`inspect.registered`, with options", True, brokers=ONLY_REDIS)
def registered(context: Context) -> Any:
    found = ask(context, "registered", "rate_limit")
    return "tests.compat.tasks.limited [rate_limit=1/s]" in found and "tests.compat.tasks.add" in found


@feature("`inspect.stats`", [True, True, True], brokers=ONLY_REDIS)
def stats(context: Context) -> Any:
    worker = control_worker(context)
    found = ask(context, "stats")
    return [found["pid"] == worker.pid, found["pool"]["max-concurrency"] == 4, "uptime" in found]


@feature("`inspect.active_queues`", [True], brokers=ONLY_REDIS)
def active_queues(context: Context) -> Any:
    worker = control_worker(context)
    return [context.logical(each["name"]) == worker.queue for each in ask(context, "active_queues")]


@feature("`inspect.conf`", True, brokers=ONLY_REDIS)
def conf(context: Context) -> Any:
    return "tests.compat.tasks" in ask(context, "conf")["include"]


@feature("`inspect.report`, `inspect.clock`", [True, True], brokers=ONLY_REDIS)
def report(context: Context) -> Any:
    return ["celery" in ask(context, "report")["ok"], "clock" in ask(context, "clock")]


@feature("`inspect.query_task`", "active", brokers=ONLY_REDIS)
def query_task(context: Context) -> Any:
    result = long.apply_async((context.key, 15), queue=control_worker(context).queue)
    context.wait_marks()
    return ask(context, "query_task", result.id)[result.id][0]


@feature("`revoke`: a task that has not begun", "REVOKED", brokers=ONLY_REDIS)
def revoke(context: Context) -> Any:
    result = add.apply_async((1, 1), queue=control_worker(context).queue, countdown=3)
    app.control.revoke(result.id)
    context.wait(lambda: result.state != "PENDING")
    return result.state


@feature("`revoke` of several at once", ["REVOKED", "REVOKED"], brokers=ONLY_REDIS)
def revoke_several(context: Context) -> Any:
    queue = control_worker(context).queue
    results = [add.apply_async((1, 1), queue=queue, countdown=3) for _ in range(2)]
    app.control.revoke([each.id for each in results])
    context.wait(lambda: all(each.state != "PENDING" for each in results))
    return [each.state for each in results]


@feature("`result.revoke()`", "REVOKED", brokers=ONLY_REDIS)
def result_revoke(context: Context) -> Any:
    result = add.apply_async((1, 1), queue=control_worker(context).queue, countdown=3)
    result.revoke()
    context.wait(lambda: result.state != "PENDING")
    return result.state


@feature(
    "`revoke(terminate=True, signal=…)`: a task that runs",
    ["REVOKED", ["began"]],
    brokers=ONLY_REDIS,
    pools=ONLY_PREFORK,
)
def terminate(context: Context) -> Any:
    result = long.apply_async((context.key, 30), queue=control_worker(context).queue)
    context.wait_marks()
    app.control.revoke(result.id, terminate=True, signal="SIGKILL")
    context.wait(lambda: result.state != "PENDING")
    return [result.state, context.marks()]


@feature("`control.terminate`", "REVOKED", brokers=ONLY_REDIS, pools=ONLY_PREFORK)
def control_terminate(context: Context) -> Any:
    result = long.apply_async((context.key, 30), queue=control_worker(context).queue)
    context.wait_marks()
    app.control.terminate(result.id)
    context.wait(lambda: result.state != "PENDING")
    return result.state


@feature("`inspect.revoked`", True, brokers=ONLY_REDIS)
def revoked(context: Context) -> Any:
    control_worker(context)
    app.control.revoke(f"id-of-{context.key}")
    context.wait(lambda: f"id-of-{context.key}" in ask(context, "revoked"))
    return True


@feature("persistent revokes: `worker_state_db`", ["REVOKED", 0], brokers=ONLY_REDIS)
def persistent_revokes(context: Context) -> Any:
    said = {"worker_state_db": str(context.shared.folder / f"{context.key}.state")}
    worker = context.worker(conf=said)
    listens(worker)
    its_id = f"id-{context.side.name}-{context.key}"
    app.control.revoke(its_id)
    inspect = app.control.inspect(destination=[worker.node], timeout=5)
    context.wait(lambda: its_id in str(inspect.revoked()))
    worker.stop()
    result = long.apply_async((context.key, 0), task_id=its_id, queue=worker.queue)
    context.worker(queues=(worker.queue,), conf=said)
    context.wait(lambda: result.state != "PENDING")
    return [result.state, len(context.marks())]


@feature("`revoke_by_stamped_headers`", "REVOKED", brokers=ONLY_REDIS)
def revoke_by_stamps(context: Context) -> Any:
    made = add.s(1, 1).set(queue=control_worker(context).queue, countdown=4)
    made.stamp(team=context.key)
    result = made.apply_async()
    app.control.revoke_by_stamped_headers({"team": context.key})
    context.wait(lambda: result.state != "PENDING")
    return result.state


@app.task
def rated(key: str) -> None:
    mark(key)


@feature("`control.rate_limit` at run time", [True, 1], brokers=ONLY_REDIS)
def rate_limit(context: Context) -> Any:
    reply = tell(context, "rate_limit", rated.name, "1/m")
    for _ in range(3):
        rated.apply_async((context.key,), queue=control_worker(context).queue)
    context.wait_marks()
    return ["ok" in reply, context.settled(lambda: len(context.marks()))]


@feature(
    "`control.time_limit` at run time: the worker's answer", True, brokers=ONLY_REDIS, pools=ONLY_PREFORK
)
def time_limit(context: Context) -> Any:
    return "ok" in tell(context, "time_limit", "tests.compat.tasks.untyped", soft=10, hard=20)


@feature("`control.add_consumer`", 4, brokers=ONLY_REDIS)
def add_consumer(context: Context) -> Any:
    queue = context.shared.take()
    tell(context, "add_consumer", queue)
    return got(add.apply_async((2, 2), queue=queue))


@feature("`control.cancel_consumer`", True, brokers=ONLY_REDIS)
def cancel_consumer(context: Context) -> Any:
    worker = context.worker()
    listens(worker)
    reply = app.control.cancel_consumer(
        worker.queue, destination=[worker.node], reply=True, timeout=10, limit=1
    )
    return "no longer consuming" in str(reply)


@feature("`control.pool_grow`, `pool_shrink`", [True, True], brokers=ONLY_REDIS, pools=ONLY_PREFORK)
def pool_grow(context: Context) -> Any:
    return ["ok" in tell(context, "pool_grow", 1), "ok" in tell(context, "pool_shrink", 1)]


@feature("`control.autoscale` at run time", True, once=True)
def control_autoscale(context: Context) -> Any:
    worker = context.worker("--autoscale", "3,1", slots=None)
    listens(worker)
    return "autoscale now max=4 min=2" in str(
        app.control.autoscale(4, 2, destination=[worker.node], reply=True)
    )


@feature("`control.pool_restart`, with `worker_pool_restarts`", True, brokers=ONLY_REDIS, pools=ONLY_PREFORK)
def pool_restart(context: Context) -> Any:
    worker = context.worker(conf={"worker_pool_restarts": True})
    listens(worker)
    return "reload started" in str(
        app.control.pool_restart(destination=[worker.node], reply=True, timeout=10)
    )


@feature("`control.shutdown`", 0, brokers=ONLY_REDIS)
def shutdown(context: Context) -> Any:
    worker = context.worker()
    listens(worker)
    app.control.shutdown(destination=[worker.node])
    return worker.ended()


@feature("`control.enable_events`, `disable_events`", [True, True], brokers=ONLY_REDIS)
def events(context: Context) -> Any:
    worker = context.worker()
    listens(worker)
    where_to = {"destination": [worker.node], "reply": True, "timeout": 10, "limit": 1}
    return [
        "task events enabled" in str(app.control.enable_events(**where_to)),
        "task events disabled" in str(app.control.disable_events(**where_to)),
    ]


@control_command(args=[("key", str)], signature="[KEY]")  # type: ignore[untyped-decorator]
def compat_mark(state: Any, key: str) -> Any:
    """Leave a mark."""
    mark(key, state.hostname)
    return {"ok": "marked"}


@inspect_command()  # type: ignore[untyped-decorator]
def compat_look(state: Any) -> Any:
    """Say something of the worker's state."""
    return {"prefetch": state.consumer.qos.value > 0}


@feature(
    "remote control commands of one's own: `@control_command`", [{"ok": "marked"}, 1], brokers=ONLY_REDIS
)
def own_command(context: Context) -> Any:
    return [
        tell(context, "broadcast", "compat_mark", arguments={"key": context.key}),
        len(context.wait_marks()),
    ]


@feature("… `@inspect_command`", {"prefetch": True}, brokers=ONLY_REDIS)
def own_inspect(context: Context) -> Any:
    return tell(context, "broadcast", "compat_look")
