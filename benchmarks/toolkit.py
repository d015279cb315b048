"""`toolkit`: what each tool adds to a run: round trips, bytes, time, and dollars per million.

In one process, with a message's request on the task, against a real Valkey and the emulated account. Round
trips and bytes are those of AWS; the time is what this machine takes, where the account answers in about a
millisecond.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from celery import Celery
from celery.exceptions import Ignore
from taskfleet import aws
from taskfleet.tools import batch, limited, once, rate, single

from drills.report import Check, Figure, Report
from drills.tools.app import app
from drills.tools.rig import RELEASE, Rig, rig
from infra.prices import DYNAMODB_READ, DYNAMODB_WRITE

RUNS = 300
_READS, _WRITES = ("GetItem",), ("PutItem", "UpdateItem")
# What docs/toolkit.md says: reads, writes, commands of Redis.
SAID: Mapping[str, tuple[float, float, float]] = {
    "nothing": (0, 0, 0),
    "single": (1, 2, 0),
    "limited": (1, 2, 0),
    "once": (1, 2, 0),
    "rate": (0, 0, 1),
    "batch": (0, 1, 0),
}


@dataclass(frozen=True)
class Used:
    """By one run, in the mean; ``bytes`` are those of the requests to DynamoDB."""

    reads: float
    writes: float
    commands: float
    bytes: float
    microseconds: float

    @property
    def dollars(self) -> float:
        """For a million runs; a write counts once for each KB of the item, here one."""
        return (self.reads * DYNAMODB_READ.dollars + self.writes * DYNAMODB_WRITE.dollars) * 1_000_000


def run() -> Report:
    """Measure each tool."""
    with rig() as fleet:
        app.taskfleet.bind(fleet.fleet.settings(pinned_release=RELEASE))  # as a worker of the release is
        return compare({name: _used(fleet, name, make) for name, make in _TASKS.items()})


def compare(used: Mapping[str, Used]) -> Report:
    """The report. A batch's wake-up, one for many items, is left out of what is said for an item."""
    figures: dict[str, Figure] = {"runs": RUNS}
    checks = []
    for name, each in used.items():
        figures |= {
            f"{name}_microseconds": each.microseconds,
            f"{name}_request_bytes": round(each.bytes),
            f"{name}_dollars_per_million": each.dollars,
        }
        found = (each.reads, each.writes, each.commands)
        as_said = all(abs(one - other) < 0.1 for one, other in zip(found, SAID[name], strict=True))
        reads, writes, commands = found
        text = (
            f"{name}: {reads:.2f} reads and {writes:.2f} writes of DynamoDB, {commands:.2f} commands of Redis"
        )
        checks.append(Check(f"{text}, as documented", as_said))
    return Report(name="toolkit", checks=checks, figures=figures)


def _used(fleet: Rig, name: str, make: Callable[[Celery], Any]) -> Used:
    app.task(name=f"bench.{name}", shared=False)(make)
    app.finalize()
    task = app.tasks[f"bench.{name}"]
    client, calls, size = aws.client("dynamodb"), Counter[str](), Counter[str]()

    def count(model: Any, request_signer: Any = None, params: Any = None, **_: Any) -> None:
        calls[model.name] += 1
        size["bytes"] += len(params["body"])

    def command_count() -> int:
        stats: Any = fleet.valkey.client().info("commandstats")
        return int(stats.get("cmdstat_eval", {}).get("calls", 0))

    _run(task, 0)  # what a process does once: connect, read settings
    client.meta.events.register("before-call.dynamodb", count)
    before = command_count()
    seconds = [_run(task, n) for n in range(1, RUNS + 1)]
    commands = command_count() - before
    client.meta.events.unregister("before-call.dynamodb", count)
    return Used(
        reads=sum(calls[each] for each in _READS) / RUNS,
        writes=sum(calls[each] for each in _WRITES) / RUNS,
        commands=commands / RUNS,
        bytes=size["bytes"] / RUNS,
        microseconds=statistics.median(seconds) * 1e6,
    )


def _run(task: Any, n: int) -> float:
    with _message(task, n):
        began = time.perf_counter()
        with contextlib.suppress(Ignore):
            task.run(n)
        return time.perf_counter() - began


@contextlib.contextmanager
def _message(task: Any, n: int) -> Iterator[None]:
    from celery._state import _task_stack

    task.push_request(
        id=f"{task.name}-{n}",
        called_directly=False,
        is_eager=False,
        delivery_info={"routing_key": "low.r1", "exchange": ""},
        headers={},
    )
    _task_stack.push(task)
    try:
        yield
    finally:
        _task_stack.pop()
        task.pop_request()


def _nothing(n: int) -> None:
    """Costs nothing, so that what is measured is the tool."""


def _items(items: list[int]) -> None:
    """The same, of a batch."""


_TASKS: Mapping[str, Any] = {
    "nothing": _nothing,
    "single": single()(_nothing),
    "limited": limited(3, by=("n",))(_nothing),
    "once": once(by=("n",))(_nothing),
    "rate": rate("1000000/s", burst=1000)(_nothing),
    "batch": batch(100, seconds=60)(_items),
}
