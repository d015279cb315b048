"""``make try``: a few hundred tasks through every queue of the local fleet, counted live.

Exit code 0 when all of it was done, 1 when something failed or did not finish in time, 2 without a fleet.
"""

from __future__ import annotations

import argparse
import json
import queue
import subprocess
import sys
import threading
import time

from local import fleet_environment
from local.journal import Journal
from local.places import Places
from local.try_it.progress import Progress
from local.try_it.show import Show
from local.try_it.work import Piece

_LOOK_SECONDS = 0.3
_SHOWN = 10


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m local.try_it", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="to wait for the last task (default: 120)")
    given = parser.parse_args()
    places = Places.from_environment()
    try:
        environment = fleet_environment.of_producer(places)
    except fleet_environment.NotUp as error:
        print(error, file=sys.stderr)
        return 2
    return _try(places, environment, given.seconds)


def _try(places: Places, environment: dict[str, str], seconds: float) -> int:
    started_at = time.time()
    journal, progress, show = Journal(places.journal), Progress(started_at), Show()
    producer = subprocess.Popen(
        [sys.executable, "-m", "local.try_it.producer"], env=environment, stdout=subprocess.PIPE, text=True
    )
    pieces: queue.SimpleQueue[Piece] = queue.SimpleQueue()
    collector = threading.Thread(target=_collect, args=(producer, pieces), daemon=True)
    collector.start()
    while True:
        # In this order, so that nothing which it sent before its end is overlooked.
        all_sent = not collector.is_alive()
        while not pieces.empty():
            progress.sent(pieces.get())
        progress.recorded(journal.read())
        show.live(progress.counts(), time.time())
        if (all_sent and progress.finished) or time.time() - started_at > seconds:
            break
        time.sleep(_LOOK_SECONDS)
    if producer.poll() is None:
        producer.terminate()
    producer.wait()
    show.result(progress.counts())
    return _verdict(progress, producer.returncode, time.time() - started_at)


def _collect(producer: subprocess.Popen[str], pieces: queue.SimpleQueue[Piece]) -> None:
    """Until the producer's end."""
    for line in producer.stdout or ():
        pieces.put(Piece(**json.loads(line)))


def _verdict(progress: Progress, producer_code: int, seconds: float) -> int:
    missing = progress.unfinished()
    if producer_code:
        print("The producer did not send all of it; the reason is above.", file=sys.stderr)
    if missing:
        print(f"{len(missing)} not done after {seconds:.0f} s:", file=sys.stderr)
        for line in missing[:_SHOWN]:
            print(f"  {line}", file=sys.stderr)
        if len(missing) > _SHOWN:
            print(f"  … and {len(missing) - _SHOWN} more", file=sys.stderr)
    if producer_code or missing:
        return 1
    print(f"All done in {seconds:.1f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
