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
    """A seed's history and what does not hold of it. ``kept`` is the folder with what a failing one left."""

    history: History
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
    """Each as it ends. An exception in a rig ends them all, once each has ended its program."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for seed in seeds:
        waiting.put(seed)
    done: queue.SimpleQueue[Done | BaseException | None] = queue.SimpleQueue()
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


def _until_all_ended(done: queue.SimpleQueue[Done | BaseException | None], rigs: int) -> Iterator[Done]:
    while rigs:
        one = done.get()
        if isinstance(one, BaseException):
            raise one
        if one is None:
            rigs -= 1
        else:
            yield one


def _work(
    waiting: queue.SimpleQueue[int],
    done: queue.SimpleQueue[Done | BaseException | None],
    over: threading.Event,
    stalls: Stalls,
) -> None:
    """On a rig of its own, until no seed is left."""
    try:
        with fresh_rig() as rig, contextlib.suppress(queue.Empty):
            while not over.is_set():
                done.put(_one(rig, waiting.get_nowait(), stalls))
        done.put(None)
    except BaseException as error:  # noqa: BLE001 - raised again where the seeds are waited for
        done.put(error)


def _one(rig: Rig, seed: int, stalls: Stalls) -> Done:
    began = time.monotonic()
    run = Run(rig, seed, program(seed), stalls)
    history = run.history()
    found = violations(history)
    kept = keep(history, found, run.logs()) if found else None
    return Done(history=history, found=found, seconds=time.monotonic() - began, kept=kept)
