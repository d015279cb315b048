"""Messages that are wrong at any place: the worker that meets them runs what comes behind them."""

from __future__ import annotations

import contextlib
import os

import pytest
from taskfleet.contract import environment as env
from taskfleet.publishing.publisher import only

from tests.support.mutations import messages
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.taskfleet.dead_letters.test_poison import left, put

RECORD = "example_tasks.drill.record"
MANY = int(os.environ.get("TASKFLEET_TEST_MUTATIONS", "60"))
SEED = int(os.environ.get("TASKFLEET_TEST_SEED", "1"))
GOOD_EVERY = 6


@pytest.mark.parametrize("broker", [env.PRIMARY, env.FALLBACK])
@pytest.mark.parametrize("execution", ["prefork", "gevent"])  # with an event loop, and without
def test_none_ends_or_deafens_a_worker(fleet: TinyFleet, broker: str, execution: str) -> None:
    app, sqs = fleet.app(), fleet.aws.client("sqs")
    worker = fleet.start_worker("r1", **{env.BROKER.name: broker, env.EXECUTION.name: execution})
    for n, text in enumerate(messages(SEED, MANY, queue="low", release="r1")):
        with contextlib.suppress(sqs.exceptions.InvalidMessageContents):  # no such text gets there
            put(fleet, broker, text)
        if n % GOOD_EVERY == 0:
            with only(broker):
                app.send_task(RECORD, ["good", n])

    good = len(range(0, MANY, GOOD_EVERY))
    wait_for(
        lambda: len(set(fleet.executed("good"))) == good or worker.poll() is not None,
        seconds=20 + MANY / 10,
        what="the good ones",
    )
    assert worker.poll() is None
    wait_for(lambda: left(fleet, broker) == 0, seconds=60 + MANY / 10, what="nothing left, nothing looping")
    assert worker.poll() is None
    assert fleet.executed("good") == list(range(0, MANY, GOOD_EVERY))
