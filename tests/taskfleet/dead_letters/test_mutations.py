"""Messages that are wrong at any place: the worker that meets them runs what comes behind them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

import pytest
from taskfleet.brokers.sqs import sending
from taskfleet.contract import environment as env
from taskfleet.contract import names
from taskfleet.publishing.publisher import force_broker

from tests.support.mutations import messages
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.taskfleet.dead_letters.test_poison import left, put

RECORD = "drills.record"
MANY = int(os.environ.get("TASKFLEET_TEST_MUTATIONS", "60"))
SEED = int(os.environ.get("TASKFLEET_TEST_SEED", "1"))
GOOD_EVERY = 6  # no more than go into one call to SQS


def put_all(fleet: TinyFleet, broker: str, texts: Sequence[str]) -> None:
    """As `put`. SQS takes them in one call, but for a text that can't be in it."""
    if broker == env.PRIMARY:
        for text in texts:
            put(fleet, broker, text)
        return
    if not texts:
        return
    sqs, name = fleet.aws.client("sqs"), names.fallback_queue(fleet.name, "low", "r1")
    with contextlib.suppress(sqs.exceptions.InvalidMessageContents):
        sending.send(sqs, sending.queue_url(sqs, name), [{"MessageBody": text} for text in texts])


@pytest.mark.parametrize("broker", [env.PRIMARY, env.FALLBACK])
@pytest.mark.parametrize("execution", ["prefork", "gevent"])  # with an event loop, and without
def test_none_ends_or_deafens_a_worker(fleet: TinyFleet, broker: str, execution: str) -> None:
    app = fleet.app()
    worker = fleet.start_worker("r1", **{env.BROKER.name: broker, env.EXECUTION.name: execution})
    some: list[str] = []
    for n, text in enumerate(messages(SEED, MANY, queue="low", release="r1")):
        some.append(text)
        if n % GOOD_EVERY == 0:
            put_all(fleet, broker, some)
            some.clear()
            with force_broker(broker):
                app.send_task(RECORD, ["good", n])
    put_all(fleet, broker, some)

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


def test_what_is_nested_too_deep_to_be_written_is_made_all_the_same() -> None:
    assert len(list(messages(6, 176, queue="low", release="r1"))) == 176
