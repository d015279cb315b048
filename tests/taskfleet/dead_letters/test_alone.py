"""A message that ends its workers takes nobody along once that is suspected."""

from __future__ import annotations

import json

from taskfleet.contract import environment as env
from taskfleet.contract.limits import MOST_DELIVERIES
from taskfleet.contract.messages import DELIVERIES_HEADER
from taskfleet.dead_letters.letter import Kind

from drills.malformed import message
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.taskfleet.dead_letters.test_failures import APP, letters, unacknowledged

THREADS = {**APP, env.EXECUTION.name: "threads", env.CONCURRENCY.name: "4"}


def delivered(fleet: TinyFleet, times: int, task: str, *args: object) -> None:
    """Into the queue, as if that many workers had had it."""
    text = message("low", "r1", headers={"task": task}, body=json.dumps([args, {}, None]))
    fleet.valkey.client().lpush("low.r1", f'{{"{DELIVERIES_HEADER}": {times}, {text[1:]}')


def test_the_one_that_ends_its_workers_is_kept_and_those_beside_it_run(fleet: TinyFleet) -> None:
    """All of them were there each time; one more for each, and all would be kept."""
    delivered(fleet, MOST_DELIVERIES - 1, "ends.its-worker")
    for n in range(3):
        delivered(fleet, MOST_DELIVERIES - 1, "ends.well", n)
    first = fleet.start_worker("r1", **THREADS)
    wait_for(lambda: first.poll() is not None, seconds=60, what="the end of the first worker")

    fleet.start_worker("r1", **THREADS)

    fleet.wait_executed("well", 3, seconds=40)
    wait_for(lambda: fleet.dead_letters("low") == 1, seconds=60, what="the letter")
    wait_for(lambda: unacknowledged(fleet) == 0 and not fleet.waiting("low", "r1"), what="nothing left")
    kept = letters(fleet)["ends.its-worker"]
    assert kept.kind is Kind.TOO_MANY_DELIVERIES
    assert kept.reason.startswith(f"delivered {MOST_DELIVERIES} times before and never acknowledged")
