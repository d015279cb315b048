"""One bad reply of SQS, or an hour of them, must not end or silence a worker (FACTS, 2)."""

from __future__ import annotations

import json
import time
from uuid import uuid4

import pytest
from taskfleet.brokers import FALLBACK_TRANSPORT

from tests.brokers.celery_app import make_app
from tests.brokers.http_faults import FaultySqs
from tests.brokers.workers import Ledger, StartWorker, Worker
from tests.support.ministack import MiniStack
from tests.support.processes import wait_for

OPTIONS = {"region": "us-east-1", "wait_time_seconds": 1}
STOCK_OPTIONS = {**OPTIONS, "polling_interval": 0}


@pytest.fixture
def queue(aws: MiniStack) -> str:
    """A queue of the test's own, made as a release's stack would make it."""
    name = f"tests-{uuid4().hex[:8]}"
    aws.client("sqs").create_queue(QueueName=name)
    return name


def _worker(start_worker: StartWorker, faults: FaultySqs, queue: str, transport: str | None = None) -> Worker:
    options = OPTIONS if transport else {**STOCK_OPTIONS, "predefined_queues": {queue: {"url": _url(queue)}}}
    return start_worker(
        url="sqs://",
        transport=transport,
        queues=queue,
        options=options,
        environment={"AWS_ENDPOINT_URL": f"http://127.0.0.1:{faults.port}"},
        concurrency=1,
    ).wait_ready()


def _url(queue: str) -> str:
    return f"http://localhost/000000000000/{queue}"


def _send(queue: str, *what: str) -> None:
    app = make_app(url="sqs://", transport=FALLBACK_TRANSPORT, options=OPTIONS)
    for each in what:
        app.send_task("note", (each,), queue=queue)


@pytest.mark.parametrize("fault", ["500", "503", "reset", "403"])
def test_a_bad_reply_is_a_pause(
    fault: str, faults: FaultySqs, queue: str, start_worker: StartWorker, ledger: Ledger
) -> None:
    worker = _worker(start_worker, faults, queue, FALLBACK_TRANSPORT)
    faults.fail(fault, times=3)
    wait_for(lambda: faults.hits == 3, what="three bad replies")

    _send(queue, "after")

    ledger.wait("after")
    assert not worker.exited


def test_stock_kombu_dies_of_the_same_reply(faults: FaultySqs, queue: str, start_worker: StartWorker) -> None:
    """The contrast: if this fails, kombu has mended it and our part may go."""
    worker = _worker(start_worker, faults, queue)
    faults.fail("500")

    wait_for(lambda: worker.exited, what="the end of the stock worker")

    assert worker.said("'list' object has no attribute 'get'")


def test_an_endpoint_that_was_down_is_consumed_from_again(
    faults: FaultySqs, queue: str, start_worker: StartWorker, ledger: Ledger
) -> None:
    worker = _worker(start_worker, faults, queue, FALLBACK_TRANSPORT)
    faults.stop()
    time.sleep(4)
    _send(queue, "meanwhile")

    faults.start()

    ledger.wait("meanwhile", seconds=15)
    assert not worker.exited


def test_a_worker_that_starts_while_sqs_is_away_waits_for_it(
    faults: FaultySqs, queue: str, start_worker: StartWorker, ledger: Ledger
) -> None:
    faults.fail("503", operation="", times=10_000)
    worker = _worker(start_worker, faults, queue, FALLBACK_TRANSPORT)
    _send(queue, "early")
    time.sleep(2)
    assert not worker.exited

    faults.heal()

    ledger.wait("early", seconds=15)


def test_a_delete_that_failed_is_tried_until_it_works(
    faults: FaultySqs, queue: str, start_worker: StartWorker, ledger: Ledger, aws: MiniStack
) -> None:
    _worker(start_worker, faults, queue, FALLBACK_TRANSPORT)
    faults.fail("503", operation="DeleteMessage", times=4)
    _send(queue, "once")
    ledger.wait("once")

    sqs = aws.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

    def left() -> dict[str, str]:
        return dict(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"])

    wait_for(lambda: set(left().values()) == {"0"}, what="the delete")
    assert faults.hits == 4, json.dumps(left())
    assert ledger.lines() == ["once"]
