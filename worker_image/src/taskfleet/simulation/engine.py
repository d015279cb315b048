"""One queue, the workers of one ECS service, and what ECS does when its desired count changes.

Event-driven: a task arrives, a slot becomes free, a control event (a look, an alarm, a worker that is ready)
is due. Everything random comes from one seeded generator, so that a run can be repeated. Times are seconds.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum


@dataclass(frozen=True, kw_only=True)
class Load:
    """Tasks by arrival: when, and how long each runs. ``tasks_each``: so many, run in turn by a slot.

    ``slow`` multiplies the run time of what starts in [from, to). A deploy at ``deploy_at`` replaces every
    worker; at ``lost`` [from, to) no metric reaches CloudWatch.
    """

    at: Sequence[float]
    run: Sequence[float]
    seconds: float
    tasks_each: int = 1
    slow: tuple[float, float, float] | None = None
    deploy_at: float | None = None
    lost: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Service:
    """The pool. ``startup_seconds``: uniform between the two, from the desired count to the first fetch.

    ``protects``: a busy worker is under ECS's scale-in protection, and one that shall go stops fetching.
    """

    slots: int = 4
    min_workers: int = 1
    max_workers: int = 40
    target_seconds: float = 30.0
    startup_seconds: tuple[float, float] = (45.0, 75.0)
    stop_seconds: float = 90.0
    first_workers: int = 1
    protects: bool = False


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What can be measured at one moment. ``arrived`` and ``finished`` count since the start."""

    now: float
    waiting: int
    busy: int
    oldest_age: float
    desired: int
    running: int
    arrived: int
    finished: int


# From the lower desired count until the worker that shall go has read its mark: a look, and its own.
MARK_SECONDS = 15.0


class _Is(Enum):
    STARTING = 1
    FETCHING = 2
    MARKED = 3  # told to stop fetching; goes when nothing runs any more
    STOPPING = 4  # had SIGTERM
    GONE = 5


@dataclass(eq=False)
class _Worker:
    since: float
    state: _Is = _Is.STARTING
    busy: int = 0
    idle_entries: int = 0
    old: bool = False  # of the release before


@dataclass(kw_only=True)
class Result:
    """``waits``: seconds until the first start, of those that waited at all; ``started`` are all tasks.

    Where one slot runs several in turn they are counted with the wait of the one in their middle.
    """

    tasks_each: int = 1
    started: int = 0
    late: int = 0
    waits: list[float] = field(default_factory=list)
    worker_hours: float = 0.0
    direction_changes: int = 0
    interrupted: int = 0
    left: int = 0
    workers_most: int = 0

    def percentile(self, percent: float) -> float:
        """Of the waits of all tasks, in seconds."""
        if not self.started:
            return 0.0
        starts = self.started // self.tasks_each
        rank = int(percent / 100 * (starts - 1)) - (starts - len(self.waits))
        return 0.0 if rank < 0 else self.waits[rank]


class Fleet:
    """Runs a load on a service. A policy calls `at` for its events, `see`, and `set_desired`."""

    def __init__(self, load: Load, service: Service, seed: int) -> None:
        self.load, self.service, self.random = load, service, random.Random(seed)  # noqa: S311 - no secret
        self.now, self.desired = 0.0, service.first_workers
        self.result = Result(tasks_each=load.tasks_each)
        self._workers: list[_Worker] = []
        self._queue: deque[int] = deque()
        self._idle: deque[_Worker] = deque()
        self._ends: list[tuple[float, int, _Worker, int]] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number, self._next, self._finished, self._busy = 0, 0, 0, 0
        self._again: set[int] = set()
        self._last_change = 0
        for _ in range(service.first_workers):
            worker = _Worker(0.0)
            self._workers.append(worker)
            self._ready(worker)
        if load.deploy_at is not None:
            self.at(load.deploy_at, self._deploy)

    def at(self, when: float, event: Callable[[], None]) -> None:
        """Have it called then."""
        self._number += 1
        heapq.heappush(self._events, (when, self._number, event))

    def every(self, first: float, period: float, event: Callable[[], None]) -> None:
        """Have it called then, and after each period."""

        def again() -> None:
            event()
            self.at(self.now + period, again)

        self.at(first, again)

    def metrics_lost(self) -> bool:
        """Whether nothing that is measured now can be read by anybody."""
        lost = self.load.lost
        return lost is not None and lost[0] <= self.now < lost[1]

    def see(self) -> Seen:
        """Measure."""
        each = self.load.tasks_each
        return Seen(
            now=self.now,
            waiting=len(self._queue) * each,
            busy=self._busy,
            oldest_age=self.now - self.load.at[self._queue[0]] if self._queue else 0.0,
            desired=self.desired,
            running=sum(w.state in (_Is.FETCHING, _Is.MARKED) for w in self._workers),
            arrived=self._next * each,
            finished=self._finished * each,
        )

    def set_desired(self, workers: int) -> None:
        """As ``UpdateService``; outside of the service's bounds it is their nearest."""
        workers = min(max(workers, self.service.min_workers), self.service.max_workers)
        if workers == self.desired:
            return
        change = 1 if workers > self.desired else -1
        self.result.direction_changes += self._last_change == -change
        self._last_change, self.desired = change, workers
        self._settle()

    def run(self) -> Result:
        """To the end of the load, and until nothing waits or runs (a further hour at most)."""
        end, last = self.load.seconds, self.load.seconds + 3600
        while True:
            if self.now >= end and not self._queue and not self._busy:
                break
            if not self._events or self._events[0][0] >= last:
                self._advance(last)
                self.now = max(self.now, end)
                break
            due, _, event = heapq.heappop(self._events)
            self._advance(due)
            self.now = due
            event()
        for worker in self._workers:
            self.result.worker_hours += (self.now - worker.since) / 3600
        self.result.waits.sort()
        self.result.left = (len(self._queue) + self._busy) * self.load.tasks_each
        return self.result

    def _advance(self, until: float) -> None:
        """Arrivals and ends up to then. The hot loop."""
        at, ends, queue, idle = self.load.at, self._ends, self._queue, self._idle
        number, count = self._next, len(self.load.at)
        while True:
            arrival = at[number] if number < count else float("inf")
            end = ends[0][0] if ends else float("inf")
            if arrival <= end:
                if arrival > until:
                    break
                task, number = number, number + 1
                self.now = arrival
                worker = self._free() if idle else None
                if worker is None:
                    queue.append(task)
                else:
                    self._start(worker, task)
                continue
            if end > until:
                break
            self.now = end
            _, _, worker, _task = heapq.heappop(ends)
            if worker.state is _Is.GONE:
                continue
            self._busy -= 1
            worker.busy -= 1
            self._finished += 1
            if worker.state is _Is.FETCHING:
                if queue:
                    self._start(worker, queue.popleft())
                else:
                    worker.idle_entries += 1
                    idle.append(worker)
            elif not worker.busy:
                self._gone(worker)
        self._next = number

    def _free(self) -> _Worker | None:
        while self._idle:
            worker = self._idle.popleft()
            worker.idle_entries -= 1
            if worker.state is _Is.FETCHING:
                return worker
        return None

    def _start(self, worker: _Worker, task: int) -> None:
        load, now = self.load, self.now
        run = load.run[task]
        if load.slow is not None and load.slow[0] <= now < load.slow[1]:
            run *= load.slow[2]
        worker.busy += 1
        self._busy += 1
        self._number += 1
        heapq.heappush(self._ends, (now + run, self._number, worker, task))
        if task in self._again:
            return
        wait, each, result = now - load.at[task], load.tasks_each, self.result
        result.started += each
        if wait > 0:
            if each > 1:
                wait += run / 2  # the one in the middle of those that the slot runs in turn
            result.waits.append(wait)
            if wait > self.service.target_seconds:
                result.late += each

    def _ready(self, worker: _Worker) -> None:
        if worker.state is _Is.STARTING:
            worker.state = _Is.FETCHING
            self._fetch(worker)
            if worker.old is False and any(w.old for w in self._workers):
                self._replace_one()

    def _fetch(self, worker: _Worker) -> None:
        """All its free slots look for work."""
        for _ in range(self.service.slots - worker.busy - worker.idle_entries):
            worker.idle_entries += 1
            self._idle.append(worker)
        while self._queue and (free := self._free()) is not None:
            self._start(free, self._queue.popleft())

    def _settle(self) -> None:
        """What ECS does: start what is missing, stop what is too much and not protected."""
        live = [w for w in self._workers if w.state in (_Is.STARTING, _Is.FETCHING, _Is.MARKED) and not w.old]
        missing = self.desired - len(live)
        self.result.workers_most = max(self.result.workers_most, self.desired)
        if missing >= 0:
            for worker in live:
                if worker.state is _Is.MARKED:
                    worker.state = _Is.FETCHING
                    self._fetch(worker)
            for _ in range(missing):
                self._launch()
            return
        # ECS takes the newest; those that do not run yet come first.
        surplus = sorted(live, key=lambda w: (w.state is not _Is.STARTING, -w.since))
        if self.service.protects:
            surplus.sort(key=lambda w: (w.state is not _Is.STARTING, w.busy > 0, w.state is not _Is.MARKED))
        for worker in surplus[:-missing]:
            self._stop(worker)

    def _launch(self) -> _Worker:
        worker = _Worker(self.now)
        self._workers.append(worker)
        self.at(self.now + self.random.uniform(*self.service.startup_seconds), lambda: self._ready(worker))
        return worker

    def _stop(self, worker: _Worker) -> None:
        if worker.busy == 0:
            self._gone(worker)
        elif self.service.protects:
            self.at(self.now + MARK_SECONDS, lambda: self._mark(worker))
        else:
            worker.state = _Is.STOPPING
            self.at(self.now + self.service.stop_seconds, lambda: self._kill(worker))

    def _mark(self, worker: _Worker) -> None:
        """If it still is one too many: it fetches no more, and goes once nothing runs."""
        live = [w for w in self._workers if w.state in (_Is.STARTING, _Is.FETCHING) and not w.old]
        if worker.state is not _Is.FETCHING or (len(live) <= self.desired and not worker.old):
            return
        worker.state = _Is.MARKED
        if not worker.busy:
            self._gone(worker)

    def _kill(self, worker: _Worker) -> None:
        """What still runs goes back to the queue's head."""
        if worker.state is _Is.GONE:
            return
        cut = [task for _, _, owner, task in self._ends if owner is worker]
        self.result.interrupted += len(cut) * self.load.tasks_each
        self._again.update(cut)
        self._busy -= len(cut)
        self._queue.extendleft(cut)
        self._gone(worker)
        while self._queue and (free := self._free()) is not None:
            self._start(free, self._queue.popleft())

    def _gone(self, worker: _Worker) -> None:
        worker.state = _Is.GONE
        self._workers.remove(worker)
        self.result.worker_hours += (self.now - worker.since) / 3600

    def _deploy(self) -> None:
        """Every worker gets a successor; an old one stops when a new one is ready in its place."""
        for worker in list(self._workers):
            if worker.state is _Is.STARTING:
                self._gone(worker)
            elif worker.state is not _Is.STOPPING:
                worker.old = True
        for _ in range(self.desired):
            self._launch()

    def _replace_one(self) -> None:
        for worker in self._workers:
            if worker.old and worker.state in (_Is.FETCHING, _Is.MARKED):
                if self.service.protects:  # nothing is published to its release any more
                    worker.state = _Is.MARKED
                    if not worker.busy:
                        self._gone(worker)
                else:
                    self._stop(worker)
                return
