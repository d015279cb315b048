"""Publish them to both brokers, look at workers while they wait, kill some when they are due, and count.

On Redis they wait in a sorted set. SQS itself delays what is due within 15 minutes (`DelaySeconds`); what is
due later is received after 15 minutes and hidden again, for up to 12 hours, and no worker keeps it.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from taskfleet import publish_many
from taskfleet.brokers.redis import counts
from taskfleet.contract import names
from taskfleet.contract.environment import FALLBACK, PRIMARY
from taskfleet.errors import PartlyPublished, PublishError
from taskfleet.publishing.publisher import force_broker

from drills.chance import one_in_each
from drills.far_etas.app import app, arrived
from drills.history.stalls import Stalls, stalled
from drills.report import Check, Figure, Report
from drills.tally import percentile
from drills.tools.rig import RELEASE, Rig, rig
from drills.worker import Worker
from tests.support.processes import until

NAME = "far-etas"
FAULT = "100,000 far ETAs on Redis, 2,000 on SQS; workers are killed when some are due; MANY=100000"
MANY, SHARE_ON_SQS = 100_000, 0.02
# One of so many is due while the drill runs, the others an hour later.
EACH, LATER_SECONDS = 25, 3600.0
WAIT_SECONDS, PER_SECOND, KILL_EVERY_SECONDS = 600.0, 20.0, 25.0
PLAIN, PLAIN_APART_SECONDS = 60, 0.05
SECONDS_LATE = 1.0  # what is promised
PLAIN_SECONDS = 1.0
MEMORY_MIB = 16.0
# What one worker may have fetched when it is killed: `fetching.MOST_AT_ONCE`, and what its slots run.
HELD_BY_ONE = 18
SETTLE_SECONDS = 120.0
PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Cost:
    """What plain tasks wait and what workers take: seconds, MiB of all processes of one worker."""

    waits: Sequence[float]
    memory: float


def run(
    many: int = MANY,
    *,
    wait_seconds: float = WAIT_SECONDS,
    per_second: float = PER_SECOND,
    kill_every_seconds: float | None = KILL_EVERY_SECONDS,
    plain: int = PLAIN,
) -> Report:
    """``many`` on Redis, and `SHARE_ON_SQS` of it on SQS.

    One of `EACH` is due from ``wait_seconds`` on, so many ``per_second`` of those on Redis, the others an
    hour later. Before, and while they wait, so many ``plain`` tasks are published, and their waits measured.
    """
    with rig() as fleet, contextlib.closing(Stalls()) as stalls:
        app.taskfleet.bind(fleet.fleet.settings())
        workers = fleet.start_workers(2, on_sqs=2, application="drills.far_etas.app:app")
        by_broker = {PRIMARY: workers[:2], FALLBACK: workers[2:]}
        sent = {PRIMARY: many, FALLBACK: max(EACH, int(many * SHARE_ON_SQS))}
        due = {broker: -(-count // EACH) for broker, count in sent.items()}
        seconds = due[PRIMARY] / per_second
        before = {
            broker: _cost(fleet, broker, by_broker[broker], f"before on {broker}", plain) for broker in sent
        }
        redis_before = _redis_mib(fleet)
        due_at = time.time() + wait_seconds
        took = {broker: _publish(broker, sent[broker], due_at, seconds) for broker in sent}
        waiting = {broker: _waiting(fleet, broker) for broker in sent}
        redis_mib = _redis_mib(fleet) - redis_before
        published_in_time = time.time() < due_at
        during = {
            broker: _cost(fleet, broker, by_broker[broker], f"beside on {broker}", plain) for broker in sent
        }
        _until_due(fleet, workers, due_at, seconds, kill_every_seconds)
        until(lambda: len(_far(fleet)) >= sum(due.values()), SETTLE_SECONDS)
        later = {broker: sent[broker] - due[broker] for broker in sent}
        until(lambda: {broker: _waiting(fleet, broker) for broker in sent} == later, SETTLE_SECONDS)
        lines = _far(fleet)
        figures: dict[str, Figure] = {"redis_mib_for_all": redis_mib, "kills": len(fleet.killed)}
        checks = [Check("all were published before the first was due", published_in_time)]
        for broker in sent:
            of_it = [line for line in lines if line["group"] == broker]
            seen = _Seen(broker, sent[broker], due[broker], of_it, _waiting(fleet, broker))
            figures |= seen.figures(took[broker], waiting[broker], before[broker], during[broker])
            checks += seen.checks(waiting[broker], before[broker], during[broker], fleet.killed, stalls)
        letters = fleet.fleet.dead_letters("low")
        return Report(
            name=NAME, checks=[*checks, Check(f"no dead letter: {letters}", letters == 0)], figures=figures
        )


def _publish(broker: str, many: int, due_at: float, over_seconds: float) -> float:
    """How long it took."""
    began = time.monotonic()
    signatures = (
        arrived.s(broker, n, at).set(eta=datetime.fromtimestamp(at, UTC))
        for n in range(many)
        for at in [due_at + n * over_seconds / many + (LATER_SECONDS if n % EACH else 0)]
    )
    with force_broker(broker):
        _insist(partial(publish_many, signatures))
    return time.monotonic() - began


def _insist(publish: Callable[[], object]) -> None:
    """On a machine that is busy enough a broker does not answer in time, and none other may be asked here."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            publish()
            return
        except PublishError as error:
            if time.monotonic() > end:
                raise
            publish = error.go_on if isinstance(error, PartlyPublished) else publish
        time.sleep(1)


def _cost(fleet: Rig, broker: str, workers: Sequence[Worker], group: str, plain: int) -> Cost:
    """Measured with plain tasks, one after the other."""
    with force_broker(broker):
        for n in range(plain):
            arrived_now = arrived.s(group, n, time.time()).set(task_id=str(uuid.uuid4()))
            _insist(arrived_now.apply_async)
            time.sleep(PLAIN_APART_SECONDS)
        until(lambda: len(_of(fleet, group)) >= plain, 60)
    waits = [float(line["late"]) for line in _of(fleet, group)]
    return Cost(waits, max(_mib(worker) for worker in workers))


def _until_due(
    fleet: Rig, workers: Sequence[Worker], due_at: float, seconds: float, kill_every: float | None
) -> None:
    """Until the last is due; meanwhile a worker of each broker in turn is killed now and then."""
    moments = [] if kill_every is None else one_in_each(int(seconds / kill_every), apart=kill_every, first=0)
    for number, moment in enumerate(moments):
        time.sleep(max(0.0, due_at + moment - time.time()))
        workers[number % len(workers)].kill()
        fleet.killed.append(time.time())
    time.sleep(max(0.0, due_at + seconds - time.time()))


def _of(fleet: Rig, group: str) -> list[dict[str, Any]]:
    return [line for line in fleet.fleet.events("did") if line["group"] == group]


def _far(fleet: Rig) -> list[dict[str, Any]]:
    return [line for line in fleet.fleet.events("did") if line["group"] in (PRIMARY, FALLBACK)]


def _waiting(fleet: Rig, broker: str) -> int:
    """How many wait in it, due or not, or are being run."""
    if broker == FALLBACK:
        return fleet.fleet.waiting_on_sqs("low", RELEASE)
    queue = names.versioned_queue("low", RELEASE)
    found = counts.read(fleet.valkey.client(), [queue])[queue]
    return found.scheduled + found.waiting + found.in_flight


def _redis_mib(fleet: Rig) -> float:
    return float(fleet.valkey.client().info("memory")["used_memory"]) / 1024**2


def _mib(worker: Worker) -> float:
    """Memory of its own and its share of what it shares, of all its processes."""
    return sum(_pss_kib(pid) for pid in worker.pids()) / 1024


def _pss_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0  # it has ended
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1])


@dataclass(frozen=True)
class _Seen:
    broker: str
    sent: int
    due: int
    lines: Sequence[dict[str, Any]]
    left: int

    def figures(self, took: float, waiting: int, before: Cost, during: Cost) -> dict[str, Figure]:
        late = [float(line["late"]) for line in self.lines]
        found: dict[str, Figure] = {
            "sent": self.sent,
            "due": self.due,
            "publishing_seconds": took,
            "waiting": waiting,
            "worker_mib_before": before.memory,
            "worker_mib_while_they_wait": during.memory,
            "plain_wait_p50_seconds_before": percentile(before.waits, 50),
            "plain_wait_p99_seconds_before": percentile(before.waits, 99),
            "plain_wait_p50_seconds_while_they_wait": percentile(during.waits, 50),
            "plain_wait_p99_seconds_while_they_wait": percentile(during.waits, 99),
            "lost": self.due - len({line["n"] for line in self.lines}),
            "doubled": len(self.lines) - len({line["n"] for line in self.lines}),
            "earliest_seconds": min(late, default=None),
            "late_p50_seconds": percentile(late, 50),
            "late_p99_seconds": percentile(late, 99),
            "latest_seconds": max(late, default=None),
        }
        return {f"{self.broker}_{name}": value for name, value in found.items()}

    def checks(
        self, waiting: int, before: Cost, during: Cost, killed: Sequence[float], stalls: Stalls
    ) -> list[Check]:
        where, most = self.broker, len(killed) * HELD_BY_ONE
        counted = Counter(line["n"] for line in self.lines)
        lost, again = self.due - len(counted), [n for n, times in counted.items() if times > 1]
        late = [line["n"] for line in self._first() if self._is_late(line, stalls)]
        early = [line["n"] for line in self.lines if line["late"] < -SECONDS_LATE]
        grown = during.memory - before.memory
        wait = percentile(during.waits, 99) or 0.0
        return [
            Check(f"{where}: all {self.sent} waited in the broker: {waiting}", waiting == self.sent),
            Check(f"{where}: a worker grew by less than {MEMORY_MIB:g} MiB: {grown:.1f}", grown < MEMORY_MIB),
            Check(
                f"{where}: a plain task begins within {PLAIN_SECONDS:g} s beside them: p99 {wait:.3f} s",
                len(during.waits) == len(before.waits) and wait <= PLAIN_SECONDS,
            ),
            Check(f"{where}: of {self.due} that were due lost 0: {lost}", lost == 0),
            Check(
                f"{where}: all {self.sent - self.due} others wait on: {self.left}",
                self.left == self.sent - self.due,
            ),
            Check(f"{where}: none is early: {len(early)}", not early),
            Check(
                f"{where}: within {SECONDS_LATE:g} s, but for what a killed worker held (at most {most}): "
                f"{len(late)} later",
                len(late) <= most,
            ),
            Check(f"{where}: once, but for the same: {len(again)} again", len(again) <= most),
        ]

    def _first(self) -> list[dict[str, Any]]:
        first: dict[int, dict[str, Any]] = {}
        for line in sorted(self.lines, key=lambda line: float(line["at"])):
            first.setdefault(line["n"], line)
        return list(first.values())

    def _is_late(self, line: dict[str, Any], stalls: Stalls) -> bool:
        """Seconds in which the machine itself stood still are nobody's."""
        due, late = float(line["due"]), float(line["late"])
        return late > SECONDS_LATE + stalled(stalls.since(due), due, due + late)
