"""Many seeds on several rigs side by side: most of a seed's time is waiting."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from drills.history.check import violations
from drills.history.kept import keep
from drills.history.program import program
from drills.history.record import History
from drills.history.rig import Rig
from drills.history.run import Run
from drills.history.stalls import Stalls


@dataclass(frozen=True, kw_only=True)
class Done:
    """A seed's history and what does not hold of it. ``kept`` is the folder with what a failing one left.

    Without a history its rig failed: that is what was ``found``.
    """

    seed: int
    history: History | None
    found: Sequence[str]
    seconds: float
    kept: Path | None


@contextlib.contextmanager
def fresh_rig() -> Iterator[Rig]:
    """A rig in a folder of its own; both are gone afterwards."""
    with TemporaryDirectory(prefix="taskfleet-history-") as place:
        rig = Rig(Path(place))
        try:
            yield rig
        finally:
            rig.close()


def carry_out(seeds: Sequence[int], *, rigs: int) -> Iterator[Done]:
    """Each as it ends. One that fails, or whose rig does, is the last there: the next has a fresh rig."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for seed in seeds:
        waiting.put(seed)
    done: queue.SimpleQueue[Done | None] = queue.SimpleQueue()
    over = threading.Event()
    # What is broken on purpose is in the line of its seed.
    logging.getLogger("taskfleet.front").setLevel(logging.ERROR)
    stalls = Stalls()
    threads = [
        threading.Thread(target=_work, args=(waiting, done, over, stalls), name=f"rig-{number}")
        for number in range(min(rigs, len(seeds)))
    ]
    for thread in threads:
        thread.start()
    try:
        yield from _until_all_ended(done, len(threads))
    finally:
        over.set()
        for thread in threads:
            thread.join()
        stalls.close()


def _until_all_ended(done: queue.SimpleQueue[Done | None], rigs: int) -> Iterator[Done]:
    while rigs:
        one = done.get()
        if one is None:
            rigs -= 1
        else:
            yield one


def _work(
    waiting: queue.SimpleQueue[int],
    done: queue.SimpleQueue[Done | None],
    over: threading.Event,
    stalls: Stalls,
) -> None:
    """On rigs of its own, until no seed is left."""
    seeds = _while_there_are(waiting, over)
    try:
        for seed in seeds:
            for one in _on_a_rig(seed, seeds, stalls):
                done.put(one)
    finally:
        done.put(None)


def _while_there_are(waiting: queue.SimpleQueue[int], over: threading.Event) -> Iterator[int]:
    with contextlib.suppress(queue.Empty):
        while not over.is_set():
            yield waiting.get_nowait()


def _on_a_rig(first: int, others: Iterator[int], stalls: Stalls) -> Iterator[Done]:
    """The seeds up to one that fails; a process that does not start in time fails the seed it is for."""
    seed: int | None = first
    began = time.monotonic()
    try:
        with fresh_rig() as rig:
            while seed is not None:
                began = time.monotonic()
                one = _one(rig, seed, stalls)
                seed = None if one.found else next(others, None)
                yield one
    except Exception as error:  # noqa: BLE001 - whatever it is, the other seeds are still to be run
        found = [f"its servers or processes failed: {error!r}"]
        if seed is not None:
            yield Done(seed=seed, history=None, found=found, seconds=time.monotonic() - began, kept=None)


def _one(rig: Rig, seed: int, stalls: Stalls) -> Done:
    began = time.monotonic()
    run = Run(rig, seed, program(seed), stalls)
    history = run.history()
    found = violations(history)
    kept = keep(history, found, run.logs()) if found else None
    return Done(seed=seed, history=history, found=found, seconds=time.monotonic() - began, kept=kept)
