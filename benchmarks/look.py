"""`look`: what the controller's look costs, with 1,000 and with 1,000,000 messages in one Valkey.

A whole environment on an emulated account, without workers: real messages, copied inside Redis. Told are the
whole look, which asks the emulated account one API call after the other, and its part that asks Redis, which
alone could grow with messages: wall time, and the processor time of Redis for it.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import redis
from kombu import Connection, Exchange, Queue
from taskfleet.brokers import PRIMARY_TRANSPORT
from taskfleet.brokers.redis.commands import Script
from taskfleet.contract import figures as of_tasks
from taskfleet.contract import messages, names
from taskfleet.controller.controller import Controller
from taskfleet.controller.tasks import TaskFigures
from taskfleet.measuring.parked import parked
from taskfleet.measuring.primary import LOOKED_INTO_AT_MOST, depths

from drills.report import Check, Figure, Report
from tests.support.ministack import MiniStack
from tests.support.valkey import Valkey
from tests.taskfleet.controller.account import Account
from tests.taskfleet.releases.factory import pool

RELEASE = "r1"
QUEUES = (10, 100)
FEW, MANY = 1_000, 1_000_000
TASK_NAMES = of_tasks.MOST_NAMES
LOOKS, REDIS_LOOKS = 3, 20
MOST_MS = 100.0
# What two runs of the same thing differ by here, where a look takes a few milliseconds.
MOST_TIMES, NOISE_MS = 1.5, 2.0

# A message of a list and one that is in flight, as often as wanted; nothing of it goes over the network.
_COPY = Script("""
local text = redis.call('LINDEX', KEYS[1], -1)
for _ = redis.call('LLEN', KEYS[1]) + 1, tonumber(ARGV[1]) do redis.call('LPUSH', KEYS[1], text) end
""")
_HOLD = Script("""
local tag = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
local text, where = redis.call('HGET', KEYS[1], tag), redis.call('HGET', KEYS[4], tag)
local until_at, fetched = redis.call('ZSCORE', KEYS[2], tag), redis.call('ZSCORE', KEYS[3], tag)
local begin = string.match(tag, '^(.*:)%d+$')
for n = 1000, 998 + tonumber(ARGV[1]) do
  redis.call('HSET', KEYS[1], begin .. n, text)
  redis.call('ZADD', KEYS[2], until_at, begin .. n)
  redis.call('ZADD', KEYS[3], fetched, begin .. n)
  redis.call('HSET', KEYS[4], begin .. n, where)
end
""")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Of one environment: milliseconds, medians of several looks, and the server's memory in MiB."""

    queues: int
    waiting: int
    in_flight: int
    look_ms: float
    redis_ms: float
    redis_processor_ms: float
    controller_processor_ms: float
    memory_mib: float


def run() -> Report:
    """Each number of queues with few messages, then with many; then what else can be large."""
    with tempfile.TemporaryDirectory() as name, _servers(Path(name)) as (aws, valkey):
        found = [
            measured(Account(aws, valkey), queues=queues, waiting=many, in_flight=many // 10)
            for queues in QUEUES
            for many in (FEW, MANY)
        ]
        more = {
            "stock_workers_hold_10000_redis_milliseconds": _stock(valkey),
            "figures_of_500_tasks_milliseconds_once_a_minute": _names(valkey),
        }
    return compare(found, more)


def compare(found: Sequence[Measured], more: Mapping[str, float]) -> Report:
    """The report; of each number of queues there are two, with few messages and with many."""
    told: dict[str, Figure] = {}
    checks = []
    for each in found:
        told |= {
            f"{each.queues}_queues_{each.waiting}_waiting_{what}": value
            for what, value in asdict(each).items()
            if what not in ("queues", "waiting")
        }
    for few, many in zip(found[::2], found[1::2], strict=True):
        ratio = many.redis_ms / few.redis_ms
        told[f"{few.queues}_queues_ratio"] = ratio
        flat = many.redis_ms <= max(MOST_TIMES * few.redis_ms, few.redis_ms + NOISE_MS)
        times = f"{few.redis_ms:.1f} ms with {few.waiting:,}, {many.redis_ms:.1f} ms with {many.waiting:,}"
        checks.append(Check(f"{few.queues} queues, what Redis is asked: {times}, {ratio:.2f} times", flat))
        if few.queues <= min(QUEUES):
            text = f"{few.queues} queues, {many.waiting:,} messages: at most {MOST_MS:.0f} ms of Redis"
            checks.append(Check(text, many.redis_ms <= MOST_MS))
    return Report(name="look", checks=checks, figures=told | dict(more))


def measured(account: Account, *, queues: int, waiting: int, in_flight: int) -> Measured:
    """An environment with so many messages over its queues, looked at by a controller of its own."""
    account.redis.flushall()
    fill(account, queues=queues, waiting=waiting, in_flight=in_flight)
    controller = account.controller()
    for _ in range(2):  # the first reads the whole table, the second is like all that follow
        _next(account, controller)
    before = time.process_time()
    look_ms = _median_ms(lambda: _next(account, controller), LOOKS)
    controller_ms = 1000 * (time.process_time() - before) / LOOKS
    before = _processor_seconds(account.redis)
    redis_ms = _median_ms(lambda: ask_redis(account.redis, queues, account.clock()), REDIS_LOOKS)
    return Measured(
        queues=queues,
        waiting=waiting,
        in_flight=in_flight,
        look_ms=look_ms,
        redis_ms=redis_ms,
        redis_processor_ms=1000 * (_processor_seconds(account.redis) - before) / REDIS_LOOKS,
        controller_processor_ms=controller_ms,
        memory_mib=account.redis.info("memory")["used_memory"] / 1024**2,
    )


def fill(account: Account, *, queues: int, waiting: int, in_flight: int) -> None:
    """A release that is current, its queues with an equal share of the messages each."""
    logical = [f"q{n}" for n in range(queues)]
    for queue in logical:
        account.sqs.create_queue(QueueName=names.dead_letter_queue(account.name, queue))
    pools = tuple(pool(f"p{n}", queues=tuple(logical[n::2])) for n in range(2))
    made, controller = account.deploy(RELEASE, pools=pools), account.controller()
    account.pass_time(controller, 1)
    account.run_gates(made)
    account.pass_time(controller, 1)
    with Connection(account.valkey.url, transport=PRIMARY_TRANSPORT) as connection:
        for queue in logical:
            _fill(account.redis, connection, queue, waiting // queues, in_flight // queues)


def _fill(client: Any, connection: Connection, queue: str, waiting: int, in_flight: int) -> None:
    physical = names.versioned_queue(queue, RELEASE)
    declared = Queue(physical, Exchange(physical), routing_key=physical)
    for _ in range(2):
        connection.Producer().publish(
            [[], {"order": 17}, {}],
            headers={"task": "shop.tasks.report", "eta": None, messages.PUBLISHED_AT_HEADER: time.time()},
            exchange=declared.exchange,
            routing_key=physical,
            declare=[declared],
        )
    channel = connection.channel()
    if declared(channel).get() is None:  # held from now on
        raise RuntimeError(f"what was published to {physical} can't be fetched")
    channel.qos._delivered.clear()  # or closing gives it back
    (tag,) = client.zrange(f"{messages.REDIS_IN_FLIGHT}{physical}", 0, 0)
    owned = messages.REDIS_OWNED + tag.decode().partition(":")[0]
    _run(client, _COPY, [physical], waiting)
    _run(client, _HOLD, ["unacked", "unacked_index", messages.REDIS_IN_FLIGHT + physical, owned], in_flight)


def _run(client: Any, script: Script, keys: Sequence[str], many: int) -> None:
    client.eval(script.text, len(keys), *keys, many)


def ask_redis(client: redis.Redis, queues: int, now: float) -> int:
    """All that each look asks Redis; how many messages it found."""
    wanted = [names.versioned_queue(f"q{n}", RELEASE) for n in range(queues)]
    found = depths(client, wanted, now=now)
    parked(client, wanted)
    return sum(each.waiting + (each.unacknowledged or 0) for each in found.values())


def _stock(valkey: Valkey) -> float:
    """What stock workers hold must be looked into."""
    client = redis.Redis.from_url(valkey.url)
    client.flushall()
    entry = '[{"body": "W1tdLCB7fSwge31d", "headers": {"task": "a", "eta": null}}, "q0.r1", "q0.r1"]'
    for start in range(0, LOOKED_INTO_AT_MOST, 1000):
        tags = [f"{n:08d}-0000-0000-0000-000000000000" for n in range(start, start + 1000)]
        client.hset("unacked", mapping=dict.fromkeys(tags, entry))
        client.zadd("unacked_index", dict.fromkeys(tags, time.time()))
    return _median_ms(lambda: ask_redis(client, 1, time.time()), LOOKS)


def _names(valkey: Valkey) -> float:
    """An hour of as many names of tasks as a minute can have."""
    client: Any = redis.Redis.from_url(valkey.url)
    client.flushall()
    text = (
        '{"outcome:succeeded":52,"outcome:failed":2,"exception:KeyError":2,'
        + ",".join(f'"runtime:{n}":4,"wait:0:{n + 9}":4' for n in range(20, 32))
        + ',"runtime:sum":9200000,"wait:0:sum":1700000}'
    )
    last = int(time.time() // 60) - 1
    for minute in range(last - 70, last + 1):
        rows = {of_tasks.name(f"q{n % 10}", f"shop.tasks.task_{n}"): text for n in range(TASK_NAMES)}
        client.hset(of_tasks.key("bench", RELEASE, minute), mapping=rows)
    seen, at = TaskFigures(), [60.0 * (last - 2) + 10]
    seen.look(client, "bench", [RELEASE], at[0])

    def look() -> None:
        at[0] += 60
        if seen.look(client, "bench", [RELEASE], at[0]) is None:
            raise RuntimeError("the look found no minute that is over")

    return _median_ms(look, LOOKS)


def _next(account: Account, controller: Controller) -> None:
    account.clock.now += 10
    look = controller.look()
    if look.problems:
        raise RuntimeError(f"the look met problems: {'; '.join(look.problems)}")


def _median_ms(ask: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        ask()
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)


def _processor_seconds(client: redis.Redis) -> float:
    said = client.info("cpu")
    return float(said["used_cpu_user_main_thread"]) + float(said["used_cpu_sys_main_thread"])


@contextmanager
def _servers(directory: Path) -> Iterator[tuple[MiniStack, Valkey]]:
    aws, valkey = MiniStack(directory / "aws"), Valkey(directory / "valkey")
    try:
        aws.start()
        valkey.start()
        yield aws, valkey
    finally:
        valkey.stop()
        aws.stop()
