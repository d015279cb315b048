"""The drills, each with what it publishes, what fails meanwhile, and what must hold."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from taskfleet import aws
from taskfleet.contract import tools as keys
from taskfleet.contract.environment import FALLBACK, PRIMARY
from taskfleet.publishing.publisher import force_broker
from taskfleet.tools import integers, start
from taskfleet.tools.runs import Runs, State
from taskfleet.tools.waiting import WaitingItems

from drills.chance import one_in_each
from drills.report import Check, Figure, Report
from drills.tools import app as tasks
from drills.tools.rig import RELEASE, Rig, rig
from tests.support.processes import until

KILLS, APART_SECONDS, SETTLE_SECONDS = 8, 4.0, 180.0
NUMBERS, A_CHUNK = 10_000, 50
HELD, RATED, BATCHED, PAID = 120, 1500, 1200, 100
SHOPS, COPIES, RESTARTS = 5, 5, 4
# Of what a second may have, the part by which starts bunch: a worker fetches and begins when it can.
LEAST_OF_TIME = 0.97


def chunk_kill() -> Report:
    """Workers die under a chunked run."""
    with rig() as fleet:
        fleet.start_workers(2, on_sqs=1)
        began = time.monotonic()
        run = start(tasks.chunk, integers(1, NUMBERS, size=A_CHUNK), run="drill")
        runs = Runs(aws.client("dynamodb"), fleet.fleet.name)

        def ended() -> bool:
            found = runs.read(run)
            return found is not None and found.state is State.DONE

        _kill(fleet, while_not=ended)
        done = until(ended, SETTLE_SECONDS)
        seconds, lines = time.monotonic() - began, fleet.did()
        empty = until(lambda: fleet.left() == 0, 60)
        figures, checks = _counted(lines, NUMBERS, fleet)
        several = [n for n, found in _keys_of(lines).items() if len(found) > 1]
        checks += [
            Check("the run came to its end", done),
            Check(f"each number has one key, however often it ran: {len(several)} have more", not several),
            Check("no wake-up is left", empty),
        ]
        return Report(name="chunk-kill", checks=checks, figures={"run_seconds": seconds, **figures})


def lock_kill() -> Report:
    """Workers die while they hold a limit's places."""
    with rig() as fleet:
        fleet.start_workers(3, slots=3, on_sqs=1)
        for n in range(HELD):
            tasks.held.delay(n)
        _kill(fleet, while_not=lambda: _many(fleet) >= HELD)
        until(lambda: _many(fleet) >= HELD, SETTLE_SECONDS)
        lines = fleet.did()
        figures, checks = _counted(lines, HELD, fleet)
        most = most_at_once([(float(line["began"]), float(line["ended"])) for line in lines])
        backwards = sum(
            one["fence"] >= other["fence"]
            for one, other in itertools.permutations(lines, 2)
            if float(one["ended"]) <= float(other["began"])
        )
        tokens = {line["fence"] for line in lines}
        figures |= {"most_at_once": most, "longest_pause_seconds": _longest_pause(lines)}
        checks += [
            Check(f"never more than {tasks.AT_ONCE} at once: {most}", most <= tasks.AT_ONCE),
            Check(
                f"who begins after another's end has a higher fencing token: {backwards} not", not backwards
            ),
            Check(f"no two have the same: {len(lines) - len(tokens)}", len(tokens) == len(lines)),
        ]
        return Report(name="lock-kill", checks=checks, figures=figures)


def limit_restart() -> Report:
    """Redis is restarted under a rate."""
    with rig() as fleet:
        fleet.start_workers(3, slots=4, on_sqs=1, execution="threads")
        for n in range(RATED):
            tasks.rated.delay(n)
        for _ in range(RESTARTS):
            time.sleep(APART_SECONDS)
            fleet.restart_redis()
        until(lambda: _many(fleet) >= RATED, SETTLE_SECONDS)
        lines = fleet.did()
        figures, checks = _counted(lines, RATED, fleet)
        took = float(lines[-1]["at"]) - float(lines[0]["at"])
        least = (len(lines) - 1 - RESTARTS) / tasks.PER_SECOND * LEAST_OF_TIME
        figures |= {
            "took_seconds": took,
            "most_in_a_second": most_within([float(x["at"]) for x in lines], 1.0),
        }
        checks.append(Check(f"{len(lines)} runs took {least:.1f} s or more: {took:.1f} s", took >= least))
        return Report(name="limit-restart", checks=checks, figures=figures)


def batch_kill() -> Report:
    """Workers die with batches that are not full."""
    with rig() as fleet:
        fleet.start_workers(2, on_sqs=1)
        for n in range(BATCHED):
            with force_broker(FALLBACK if n % 3 == 0 else PRIMARY):
                tasks.batched.apply_async(({"n": n, "key": n % SHOPS},), task_id=f"item-{n}")
        _kill(fleet, while_not=lambda: _many(fleet) >= BATCHED)
        until(lambda: _many(fleet) >= BATCHED, SETTLE_SECONDS)
        until(lambda: fleet.left() == 0, 60)
        lines = fleet.did()
        figures, checks = _counted(lines, BATCHED, fleet)
        waiting = WaitingItems(aws.client("dynamodb"), fleet.fleet.name)
        records = [keys.batch(RELEASE, "drill.batched", f"[{shop}]") for shop in range(SHOPS)]
        left = sum(len(waiting.read(record).entries) for record in records)
        figures["items_in_a_batch"] = sum(int(line["many"]) for line in lines) / max(1, len(lines))
        checks += [
            Check(f"no item waits at the end: {left}", left == 0),
            Check(
                "each item has its key in every batch",
                all(line["key"] == f"item-{line['n']}" for line in lines),
            ),
        ]
        return Report(name="batch-kill", checks=checks, figures=figures)


def duplicate_storm() -> Report:
    """Each message comes five times, over both brokers."""
    with rig() as fleet:
        for copy, n in itertools.product(range(COPIES), range(PAID)):
            with force_broker(FALLBACK if copy % 2 else PRIMARY):
                tasks.paid.apply_async((n,), task_id=f"order-{n}")
        fleet.start_workers(2, slots=4, on_sqs=2, execution="threads")
        empty = until(lambda: _many(fleet) >= PAID and fleet.left() == 0, SETTLE_SECONDS)
        figures, checks = _counted(fleet.did(), PAID, fleet)
        doubled = int(str(figures["doubled"]))
        checks += [
            Check(f"each effect once, of {COPIES} messages: {doubled} doubled", doubled == 0),
            Check("no message is left", empty),
        ]
        return Report(name="duplicate-storm", checks=checks, figures={"messages": COPIES * PAID, **figures})


DRILLS: Mapping[str, tuple[str, Callable[[], Report]]] = {
    "chunk-kill": ("workers die under a chunked run of 10,000 numbers", chunk_kill),
    "lock-kill": ("workers die while they hold one of two places", lock_kill),
    "limit-restart": ("Redis is killed and restarted under a rate of 50/s", limit_restart),
    "batch-kill": ("workers die with batches that are not full", batch_kill),
    "duplicate-storm": ("each message comes five times, over both brokers", duplicate_storm),
}


def most_at_once(spans: Sequence[tuple[float, float]]) -> int:
    """How many of these (begin, end) lasted at the same time."""
    return max((sum(one <= begin < end for one, end in spans) for begin, _ in spans), default=0)


def most_within(moments: Sequence[float], seconds: float) -> int:
    """The most of these, sorted, within so many seconds of one of them."""
    return max((sum(one <= other < one + seconds for other in moments) for one in moments), default=0)


def _kill(fleet: Rig, *, while_not: Callable[[], bool]) -> None:
    began = time.monotonic()
    for moment in one_in_each(KILLS, apart=APART_SECONDS, first=1.0):
        time.sleep(max(0.0, began + moment - time.monotonic()))
        if while_not():
            return
        fleet.kill_one()


def _many(fleet: Rig) -> int:
    return len({line["n"] for line in fleet.did()})


def _keys_of(lines: Sequence[Mapping[str, Any]]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for line in lines:
        found.setdefault(line["n"], set()).add(line["key"])
    return found


def _counted(
    lines: Sequence[Mapping[str, Any]], expected: int, fleet: Rig
) -> tuple[dict[str, Figure], list[Check]]:
    """The figures and the check of every drill."""
    times = Counter(line["n"] for line in lines)
    lost = expected - len(times)
    letters = fleet.fleet.dead_letters("low")
    figures: dict[str, Figure] = {
        "expected": expected,
        "lost": lost,
        "doubled": sum(many - 1 for many in times.values()),
        "faults": len(fleet.killed),
        "dead_letters": letters,
    }
    return figures, [
        Check(f"lost 0: {lost}", lost == 0),
        Check(f"no dead letter: {letters}", letters == 0),
    ]


def _longest_pause(lines: Sequence[Mapping[str, Any]]) -> float:
    begun = sorted(float(line["began"]) for line in lines)
    return max((after - before for before, after in itertools.pairwise(begun)), default=0.0)
