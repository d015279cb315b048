"""Carry out one program on the rig, and bring back its history."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from drills.history import clock
from drills.history.outcomes import KILLED, NEVER_INVOKED
from drills.history.program import CLOCK_SECONDS, MOVES, Break, Fault, Publish, Step, processes
from drills.history.record import Broken, Execution, History, Published
from drills.history.rig import Producer, Rig, wait_until_idle
from drills.history.stalls import Stalls
from drills.tasks import journal
from drills.worker import SupervisedProcess, Worker
from local.broker.faults import Command
from local.broker.faults import Fault as Front
from local.emulator.faults import ERROR, HANG, PASS

# A lease, a beat and what SQS hides of a worker that died; most programs need a few seconds of it.
SETTLE_SECONDS = 120.0
_PRODUCERS_SECONDS = 30.0
# A controller that was killed last is started again, and looks.
_AGREE_SECONDS = 30.0


class Run:
    """One program under way."""

    def __init__(self, rig: Rig, seed: int, steps: Sequence[Step], stalls: Stalls) -> None:
        self._rig, self._seed, self._steps, self._stalls = rig, seed, steps, stalls
        self._began_at = time.time()
        self._run = f"s{seed}-{uuid.uuid4().hex[:6]}"
        self._dice = random.Random(seed)  # noqa: S311 - no secret
        self._broken: list[Broken] = []
        self._waiting: list[threading.Thread] = []
        rig.have(processes(seed))
        self._before = {path: _size(path) for path in rig.logs().values()}

    def history(self) -> History:
        """Carry the steps out, wait until nothing is left, and say what happened."""
        began = time.monotonic()
        for step in self._steps:
            time.sleep(max(0.0, began + step.at - time.monotonic()))
            if isinstance(step, Publish):
                self._rig.producers[step.producer].send(json.dumps({"run": self._run, **asdict(step)}))
            else:
                self._break(step)
        for thread in self._waiting:
            thread.join()
        self._wait_for_producers()
        left = wait_until_idle(self._rig.left, SETTLE_SECONDS)
        history = self._collect(left)
        self._rig.forget_dead_letters()
        return history

    # -- faults ---------------------------------------------------------------------------------------

    def _break(self, step: Break) -> None:
        thread = threading.Thread(target=self._carry_out, args=(step,), daemon=True)
        thread.start()
        self._waiting.append(thread)

    def _carry_out(self, step: Break) -> None:
        began = time.time()
        target = self._faults(step)
        if step.fault not in MOVES:
            self._broken.append(Broken(fault=step.fault, target=target, began_at=began, ended_at=time.time()))

    def _faults(self, step: Break) -> str:
        """Break it, for as long as it is to last. Returns what was broken."""
        rig = self._rig
        worker = self._worker(step.target)
        producer = rig.producers[step.target % len(rig.producers)]
        if step.fault is Fault.WORKER_CLOCK:
            return self._step_clock(worker, step)
        if step.fault in _OF_WORKERS:
            _OF_WORKERS[step.fault](worker, step)
            return worker.name
        if step.fault in _OF_PRODUCERS:
            _OF_PRODUCERS[step.fault](producer, step)
            return f"producer {producer.number}"
        if step.fault in MOVES:
            return rig.move(back=step.fault is Fault.ROLLBACK)
        if step.fault in _OF_CONTROLLERS:
            _OF_CONTROLLERS[step.fault](rig.controller, step)
            return rig.controller.name
        with _OF_BROKERS[step.fault](rig, step):
            time.sleep(step.seconds)
        return "broker"

    def _step_clock(self, worker: Worker, step: Break) -> str:
        seconds = CLOCK_SECONDS if step.target % 2 == 0 else -CLOCK_SECONDS
        clock.put_off(self._rig.clock(worker.name), seconds)
        try:
            time.sleep(step.seconds)
        finally:
            clock.put_off(self._rig.clock(worker.name), 0.0)
        return f"{worker.name} {seconds:+.0f} s"

    def _worker(self, target: int) -> Worker:
        """Most often one of the current release, which has something to lose."""
        workers = self._rig.workers
        if target % 4:
            workers = [worker for worker in workers if worker.name.startswith(self._rig.current)]
        return workers[target // 4 % len(workers)]

    # -- the end --------------------------------------------------------------------------------------

    def _wait_for_producers(self) -> None:
        """Until each has answered what it was given, or is gone; dead ones are started again."""
        end = time.monotonic() + _PRODUCERS_SECONDS
        for producer in self._rig.producers:
            given = {
                step.number
                for step in self._steps
                if isinstance(step, Publish) and step.producer == producer.number
            }
            while time.monotonic() < end and producer.alive() and given - self._answered(producer):
                time.sleep(0.1)
            producer.revive()

    def _answered(self, producer: Producer) -> set[int]:
        return {line["n"] for line in self._lines(producer) if line["event"] not in ("ready", "invoked")}

    def _lines(self, producer: Producer) -> list[dict[str, Any]]:
        text = self._since(producer.log).decode()
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def logs(self) -> dict[str, bytes]:
        """What each process has logged since this program began."""
        return {name: self._since(path) for name, path in self._rig.logs().items()}

    def _since(self, path: Path) -> bytes:
        return path.read_bytes()[self._before.get(path, 0) :] if path.exists() else b""

    def _collect(self, left: dict[str, int]) -> History:
        records = [line for line in journal.read(self._rig.fleet.journal) if line["run"] == self._run]
        bodies: dict[int, list[list[int]]] = {}
        for line in records:
            if line["event"] == "body":
                bodies.setdefault(line["n"], []).append(line["results"])
        return History(
            seed=self._seed,
            published=[self._published(s) for s in self._steps if isinstance(s, Publish)],
            executions=list(executions(records)),
            broken=self._broken,
            pointer=list(self._rig.pointer),
            bodies=bodies,
            left=left,
            dead_letters=self._rig.dead_letters(),
            stalls=self._stalls.since(self._began_at),
            releases=self._rig.releases.seen(since=self._began_at, seconds=_AGREE_SECONDS),
        )

    def _published(self, publish: Publish) -> Published:
        lines = self._lines(self._rig.producers[publish.producer])
        of_this = [line for line in lines if line.get("n") == publish.number]
        if not of_this:
            return Published(publish=publish, outcome=NEVER_INVOKED, invoked_at=None, answered_at=None)
        answers = of_this[1:]
        return Published(
            publish=publish,
            outcome=answers[0]["event"] if answers else KILLED,
            invoked_at=of_this[0]["at"],
            answered_at=answers[0]["at"] if answers else None,
            why=answers[0]["why"] if answers else "",
        )


def executions(records: Sequence[dict[str, Any]]) -> Iterator[Execution]:
    """Each beginning with its end: the next one that the same process wrote of that task."""
    ends = [line for line in records if line["event"] == "ended"]
    for line in records:
        if line["event"] != "began":
            continue
        same = ("n", "task", "pid", "key")
        end = next((e for e in ends if all(e[k] == line[k] for k in same) and e["at"] >= line["at"]), None)
        if end is not None:
            ends.remove(end)
        yield Execution(
            n=line["n"],
            task=line["task"],
            key=line["key"],
            release=line["release"],
            broker=line["broker"],
            began_at=line["at"],
            ended_at=end["at"] if end else None,
            pid=line["pid"],
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _stop(process: SupervisedProcess, step: Break) -> None:
    pids = process.pids()
    _signal(pids, signal.SIGSTOP)
    time.sleep(step.seconds)
    _signal(pids, signal.SIGCONT)


def _signal(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _stop_producer(producer: Producer, step: Break) -> None:
    producer.signal(signal.SIGSTOP)
    time.sleep(step.seconds)
    producer.signal(signal.SIGCONT)


def _kill_child(worker: Worker, step: Break) -> None:
    children = worker.pids()[1:]
    if children:
        _signal([children[step.target % len(children)]], signal.SIGKILL)


_OF_WORKERS: dict[Fault, Callable[[Worker, Break], None]] = {
    Fault.WORKER_KILL: lambda worker, _step: worker.signal(signal.SIGKILL),
    Fault.WORKER_TERM: lambda worker, _step: _signal(worker.pids()[:1], signal.SIGTERM),
    Fault.WORKER_STOP: _stop,
    Fault.CHILD_KILL: _kill_child,
}
_OF_CONTROLLERS: dict[Fault, Callable[[SupervisedProcess, Break], None]] = {
    Fault.CONTROLLER_KILL: lambda controller, _step: controller.signal(signal.SIGKILL),
    Fault.CONTROLLER_STOP: _stop,
}
_OF_PRODUCERS: dict[Fault, Callable[[Producer, Break], None]] = {
    Fault.PRODUCER_KILL: lambda producer, _step: producer.signal(signal.SIGKILL),
    Fault.PRODUCER_STOP: _stop_producer,
}


@contextlib.contextmanager
def _killed(rig: Rig, _step: Break) -> Iterator[None]:
    with rig.of_server:
        rig.valkey.kill()
        try:
            yield
        finally:
            rig.valkey.start()


@contextlib.contextmanager
def _stopped(rig: Rig, _step: Break) -> Iterator[None]:
    with rig.of_server:
        rig.valkey.pause()
        try:
            yield
        finally:
            rig.valkey.resume()


def _front(fault: Front) -> Callable[[Rig, Break], contextlib.AbstractContextManager[None]]:
    @contextlib.contextmanager
    def broken(rig: Rig, _step: Break) -> Iterator[None]:
        rig.front(Command(fault=fault, seconds=0.15 if fault is Front.DELAY else 0.0))
        try:
            yield
        finally:
            rig.front(Command(fault=Front.PASS))

    return broken


def _sqs(fault: str) -> Callable[[Rig, Break], contextlib.AbstractContextManager[None]]:
    @contextlib.contextmanager
    def broken(rig: Rig, _step: Break) -> Iterator[None]:
        rig.account.fault("sqs", fault)
        try:
            yield
        finally:
            rig.account.fault("sqs", PASS)

    return broken


_OF_BROKERS: dict[Fault, Callable[[Rig, Break], contextlib.AbstractContextManager[None]]] = {
    Fault.BROKER_KILL: _killed,
    Fault.BROKER_STOP: _stopped,
    Fault.BROKER_CUT: _front(Front.CUT),
    Fault.BROKER_BLACKHOLE: _front(Front.BLACKHOLE),
    Fault.BROKER_HALF_OPEN: _front(Front.HALF_OPEN),
    Fault.BROKER_DELAY: _front(Front.DELAY),
    Fault.SQS_ERROR: _sqs(ERROR),
    Fault.SQS_HANG: _sqs(HANG),
}
