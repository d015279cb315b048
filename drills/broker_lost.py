"""`broker-lost`: the primary dies for good, and no log on disk brings anything back, as on ElastiCache.

With a replica, which is promoted, nothing of the confirmed queue is lost. A single node comes back empty:
what waited in it is lost, and what is promised is that this is counted right, and that nothing else is lost.
"""

from __future__ import annotations

import contextlib
import itertools
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence

from taskfleet.brokers.redis import counts
from taskfleet.brokers.redis.counts import Counts
from taskfleet.contract import names
from taskfleet.contract.environment import PRIMARY
from taskfleet.errors import PublishError

from drills.publish_recorder import PublishRecorder
from drills.report import Check, Figure, Report
from drills.tally import Execution, Publish, Tally, tally
from drills.tasks import faulty
from drills.tasks.app import app
from drills.tools.rig import RELEASE, Rig, rig
from drills.worker import Worker
from tests.support.processes import until

NAME = "broker-lost"
FAULT = (
    "Redis without a log on disk dies: its replica is promoted; then a single node, which comes back empty"
)
CONFIRMED, PLAIN = "low", "etl"
QUEUES = (CONFIRMED, PLAIN)
SECONDS, PER_SECOND = 30.0, 60.0
CUT_SECONDS, AWAY_SECONDS = 1.5, 4.0  # the replica before the death, and Redis after it
TASK_SECONDS, COUNTDOWN_SECONDS, DELAYED_EACH = 0.05, 5.0, 7
SETTLE_SECONDS = 120.0


class Load:
    """Publishes to the queues in turn, each seventh with a countdown, until it is closed."""

    def __init__(self) -> None:
        self.run, self.publishes = f"{NAME}-{uuid.uuid4().hex[:8]}", list[Publish]()
        self._watch = PublishRecorder(app.taskfleet.publisher)
        self._between, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._publish_all, daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """None is under way in the block."""
        with self._between:
            yield

    def close(self) -> None:
        """Publish no more."""
        self._over.set()
        self._thread.join()

    def _publish_all(self) -> None:
        for n in itertools.count():
            if self._over.wait(1 / PER_SECOND):
                return
            with self._between:
                self.publishes.append(self._publish(n, QUEUES[n % 2]))

    def _publish(self, n: int, queue: str) -> Publish:
        at, began, error = time.time(), time.monotonic(), None
        self._watch.begin()
        options = {} if n % DELAYED_EACH else {"countdown": COUNTDOWN_SECONDS}
        try:
            app.send_task(faulty.record.name, (self.run, n, TASK_SECONDS), queue=queue, **options)
        except PublishError as raised:
            error = str(raised)
        seconds = time.monotonic() - began
        return Publish(n=n, at=at, seconds=seconds, broker=self._watch.broker, error=error, queue=queue)


def run(seconds: float = SECONDS) -> Report:
    """A load of so many seconds for each of the two, whose Redis dies in the middle of it."""
    figures: dict[str, Figure] = {}
    checks: list[Check] = []
    for part in (with_a_replica, a_single_node):
        found, held = part(seconds)
        figures |= found
        checks += held
    return Report(name=NAME, checks=checks, figures=figures)


def with_a_replica(seconds: float) -> tuple[dict[str, Figure], list[Check]]:
    """It is promoted some seconds after the primary's death."""
    with rig(log=False, replica=True, confirmed=(CONFIRMED,)) as fleet:
        replica = fleet.second

        def die(_load: Load, workers: Sequence[Worker]) -> None:
            with _hung(workers):  # so that something waits
                time.sleep(CUT_SECONDS)
                # Or on one machine it would lack nothing, and every queue would look confirmed.
                replica.client().replicaof("127.0.0.1", 1)
                time.sleep(CUT_SECONDS)
                fleet.valkey.kill()
            time.sleep(AWAY_SECONDS)
            replica.client().replicaof("NO", "ONE")
            fleet.fleet.front.move(replica.port)

        load = _under_load(fleet, seconds, die)
        of = {queue: _counted(fleet, load, queue) for queue in QUEUES}
        letters = sum(fleet.fleet.dead_letters(queue) for queue in QUEUES)
    lost = len(of[CONFIRMED].lost)
    return {
        **_figures("replica", list(of.values())),
        "replica_lost": lost,
        "replica_lost_not_confirmed": len(of[PLAIN].lost),
    }, [
        Check(f"replica promoted: lost 0 on the confirmed queue: {lost}", lost == 0),
        Check(
            f"on the other the replica lagged, or this proves nothing: lost {len(of[PLAIN].lost)}",
            bool(of[PLAIN].lost),
        ),
        _none_refused("replica promoted", list(of.values())),
        Check(f"replica promoted: no dead letter: {letters}", letters == 0),
    ]


def a_single_node(seconds: float) -> tuple[dict[str, Figure], list[Check]]:
    """It comes back, empty."""
    with rig(log=False) as fleet:
        held: list[Counts] = []
        died: list[int] = []

        def die(load: Load, workers: Sequence[Worker]) -> None:
            with _hung(workers):
                time.sleep(2 * CUT_SECONDS)
                with load.paused():
                    queues = [names.versioned_queue(queue, RELEASE) for queue in QUEUES]
                    held.extend(counts.read(fleet.valkey.client(), queues).values())
                    fleet.valkey.kill()
                    died.append(len(load.publishes))
            time.sleep(AWAY_SECONDS)
            fleet.valkey.start()

        load = _under_load(fleet, seconds, die)
        counted = _counted(fleet, load, *QUEUES)
        letters = sum(fleet.fleet.dead_letters(queue) for queue in QUEUES)
    waiting, scheduled = sum(each.waiting for each in held), sum(each.scheduled for each in held)
    in_flight, lost = sum(each.in_flight for each in held), len(counted.lost)
    least, most = waiting + scheduled, waiting + scheduled + in_flight
    by_n = {publish.n: publish for publish in load.publishes}
    others = [n for n in counted.lost if n >= died[0] or by_n[n].broker != PRIMARY]
    return {
        **_figures("single", [counted]),
        "single_waiting_at_its_death": waiting,
        "single_scheduled_at_its_death": scheduled,
        "single_in_flight_at_its_death": in_flight,
        "single_lost": lost,
    }, [
        Check(
            f"single node: lost is what a look had counted in it, {least} and up to {in_flight} that were "
            f"being run: {lost}",
            0 < least <= lost <= most,
        ),
        Check(f"single node: nothing else is lost: {len(others)}", not others),
        _none_refused("single node", [counted]),
        Check(f"single node: no dead letter: {letters}", letters == 0),
    ]


def _under_load(fleet: Rig, seconds: float, die: Callable[[Load, Sequence[Worker]], None]) -> Load:
    """Returns when everything that can run has."""
    app.taskfleet.bind(fleet.fleet.settings())
    application, queues = "drills.tasks.app:app", ",".join(QUEUES)
    workers = fleet.start_workers(2, on_sqs=1, application=application, queues=queues)
    load = Load()
    try:
        time.sleep(seconds / 3)
        die(load, workers[:2])
        time.sleep(seconds / 3)
    finally:
        load.close()
    # What is lost never comes: until nothing is on the brokers any more, and ETAs with it.
    time.sleep(COUNTDOWN_SECONDS)
    until(lambda: fleet.left(*QUEUES) == 0, SETTLE_SECONDS)
    time.sleep(1)
    return load


@contextlib.contextmanager
def _hung(workers: Sequence[Worker]) -> Iterator[None]:
    for worker in workers:
        worker.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for worker in workers:
            worker.signal(signal.SIGCONT)


def _counted(fleet: Rig, load: Load, *queues: str) -> Tally:
    publishes = [publish for publish in load.publishes if publish.queue in queues]
    numbers = {publish.n for publish in publishes}
    lines = (line for line in fleet.fleet.events("record") if line["run"] == load.run)
    return tally(
        publishes,
        [
            Execution(n=line["n"], at=line["at"], broker=line["broker"], pid=line["pid"])
            for line in lines
            if line["n"] in numbers
        ],
    )


def _figures(name: str, counted: Sequence[Tally]) -> dict[str, Figure]:
    return {
        f"{name}_{what}": sum(getattr(each, what) for each in counted)
        for what in ("submitted", "accepted_by_primary", "accepted_by_fallback", "refused", "duplicates")
    }


def _none_refused(name: str, counted: Sequence[Tally]) -> Check:
    refused = sum(each.refused for each in counted)
    return Check(f"{name}: every publish was accepted: {refused} were not", refused == 0)
