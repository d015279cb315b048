"""`pointer-lost`: SSM, where producers read which release is current, fails and then throttles."""

from __future__ import annotations

import time
from functools import partial

from drills.releases.load import Load
from drills.releases.rig import START_SECONDS, Rig
from drills.releases.ticks import Ticking
from drills.report import Check, Figure, Report
from drills.worker import Worker
from local.emulator.faults import ERROR, PASS, THROTTLE
from tests.support.processes import until

# Longer than a producer keeps the pointer; the full form is longer than it takes one for fresh.
SHORT_SECONDS, FULL_SECONDS = 8.0, 300.0
LEAST_OF_RATE = 0.8


def pointer_lost(rig: Rig, short: bool) -> Report:
    """In each fault a worker is killed, which must come back without SSM."""
    seconds, current = SHORT_SECONDS if short else FULL_SECONDS, rig.current
    figures: dict[str, Figure] = {"each_fault_seconds": seconds}
    with Load(rig, short=short) as load:
        ticking = Ticking(rig)
        for fault in (ERROR,) if short else (ERROR, THROTTLE):
            rig.account.fault("ssm", fault)
            try:
                began = time.monotonic()
                worker = rig.agent.workers(current)[0]
                readies = worker.readies()
                worker.kill()
                back = until(partial(_is_back, worker, readies), START_SECONDS)
                took = time.monotonic() - began
                figures[f"worker_back_under_{fault}_seconds"] = took if back else None
                time.sleep(max(0.0, seconds - took))
            finally:
                rig.account.fault("ssm", PASS)
    counted, ticks = load.counted(), ticking.counted()
    waits = [one["seconds"] for one in load.published()]
    least = LEAST_OF_RATE * load.wanted_rate
    figures |= {"longest_publish_seconds": max(waits), "tasks_per_second": load.rate_held()}
    releases = {line["release"] for line in load.did()}
    return Report(
        name="pointer-lost",
        checks=[
            *counted.checks(duplicates_allowed=True),  # of the workers that were killed
            *ticks.checks(),
            Check(f"all ran on {current}: {sorted(releases)}", releases == {current}),
            Check("each killed worker came back meanwhile", None not in figures.values()),
            Check(
                f"producers went on: {load.rate_held():.0f} tasks/s of {least:.0f}", load.rate_held() >= least
            ),
        ],
        figures={**figures, **counted.figures(), **ticks.figures()},
    )


def _is_back(worker: Worker, readies: int) -> bool:
    return worker.readies() > readies
