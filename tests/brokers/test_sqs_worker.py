"""A worker on the SQS transport: what it holds is its own while it lives, and back soon when it does not."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from kombu import Connection, Producer
from kombu.entity import Queue
from taskfleet.brokers import FALLBACK_TRANSPORT, eta
from taskfleet.contract import messages

from tests.brokers.celery_app import make_app
from tests.brokers.http_faults import FaultySqs
from tests.brokers.workers import Ledger, StartWorker, Worker
from tests.support.ministack import MiniStack
from tests.support.processes import wait_for

OPTIONS = {"region": "us-east-1", "wait_time_seconds": 2, "lease_seconds": 4}


@pytest.fixture
def queue(aws_environment: MiniStack) -> str:
    """A queue of the test's own; its own visibility timeout must not matter."""
    name = f"tests-{uuid4().hex[:8]}"
    aws_environment.client("sqs").create_queue(QueueName=name, Attributes={"VisibilityTimeout": "3600"})
    return name


def _counts(aws: MiniStack, queue: str) -> tuple[int, int, int]:
    """Visible, in flight, delayed."""
    sqs = aws.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    names = ("", "NotVisible", "Delayed")
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    visible, hidden, delayed = (int(found[f"ApproximateNumberOfMessages{name}"]) for name in names)
    return visible, hidden, delayed


def _send(queue: str, name: str, *arguments: object, countdown: float | None = None) -> None:
    app = make_app(url="sqs://", transport=FALLBACK_TRANSPORT, options=OPTIONS)
    app.send_task(name, arguments, queue=queue, countdown=countdown)


def _worker(start_worker: StartWorker, queue: str, **more: object) -> Worker:
    given = {"url": "sqs://", "transport": FALLBACK_TRANSPORT, "options": OPTIONS, "queues": queue} | more
    return start_worker(**given).wait_ready()


@pytest.mark.parametrize("pool", ["prefork", "gevent"])
def test_a_task_of_twice_its_lease_runs_once(
    pool: str, aws: MiniStack, queue: str, start_worker: StartWorker, ledger: Ledger
) -> None:
    for _ in range(2):
        _worker(start_worker, queue, pool=pool)

    _send(queue, "slow", "long", 9)

    ledger.wait("end long")
    wait_for(lambda: _counts(aws, queue) == (0, 0, 0), what="the delete")
    assert Counter(ledger.lines()) == {"begin long": 1, "end long": 1}


def test_a_killed_workers_message_is_back_when_its_lease_ends(
    queue: str, start_worker: StartWorker, ledger: Ledger
) -> None:
    worker = _worker(start_worker, queue)
    _send(queue, "slow", "task", 3600)
    ledger.wait("begin task")
    _worker(start_worker, queue)

    killed = time.monotonic()
    worker.kill()

    wait_for(lambda: Counter(ledger.lines())["begin task"] == 2, seconds=60, what="redelivery")
    assert time.monotonic() - killed < 12


def test_sigterm_returns_it_at_once(
    aws: MiniStack, queue: str, start_worker: StartWorker, ledger: Ledger
) -> None:
    waiting = {"concurrency": 1, "configuration": {"worker_prefetch_multiplier": 2}}
    worker = _worker(start_worker, queue, **waiting)
    _send(queue, "slow", "running", 3)
    ledger.wait("begin running")
    _send(queue, "note", "later")
    wait_for(lambda: _counts(aws, queue)[1] == 2, what="the fetch")

    worker.stop(seconds=15)

    assert _counts(aws, queue) == (1, 0, 0)


def test_a_child_that_is_killed_is_counted_by_sqs(
    queue: str, start_worker: StartWorker, ledger: Ledger
) -> None:
    _worker(start_worker, queue)
    _send(queue, "kill_child", "poison")

    wait_for(lambda: len(ledger.lines()) >= 3, seconds=60, what="three deaths")

    assert [int(line.split()[-1]) for line in ledger.lines()][:3] == [0, 1, 2]


def test_a_near_eta_is_sqss_own_delay(
    aws: MiniStack, queue: str, start_worker: StartWorker, ledger: Ledger
) -> None:
    _worker(start_worker, queue)
    _send(queue, "note", "soon", countdown=5)

    assert _counts(aws, queue)[2] == 1
    ledger.wait("soon")


def test_a_far_eta_is_hidden_not_held(
    aws: MiniStack, queue: str, start_worker: StartWorker, ledger: Ledger
) -> None:
    """Its delay is over, its time is not: it must not take one of the two slots' messages."""
    app = make_app(url="sqs://", transport=FALLBACK_TRANSPORT, options=OPTIONS)
    for _ in range(4):
        app.send_task("note", ("far",), queue=queue, countdown=3600, DelaySeconds=0)
    _worker(start_worker, queue)
    wait_for(lambda: _counts(aws, queue) == (0, 4, 0), what="hiding")

    _send(queue, "note", "now")

    ledger.wait("now")
    assert ledger.lines() == ["now"]


def test_many_short_tasks_are_not_held_up_by_a_polling_interval(
    queue: str, start_worker: StartWorker, ledger: Ledger
) -> None:
    """With kombu's default of one second a worker of two slots runs two a second."""
    names = [str(number) for number in range(60)]
    for name in names:
        _send(queue, "note", name)
    _worker(start_worker, queue)
    began = time.monotonic()

    ledger.wait(*names)

    assert time.monotonic() - began < 10


@pytest.mark.parametrize("pool", ["prefork", "gevent"])
def test_many_short_tasks_of_one_queue_are_not_held_up_by_the_wait_for_another(
    pool: str, aws_environment: MiniStack, queue: str, start_worker: StartWorker, ledger: Ledger
) -> None:
    """Without an event loop queues are asked in turn: two slots ran two tasks a second."""
    empty = f"tests-{uuid4().hex[:8]}"
    aws_environment.client("sqs").create_queue(QueueName=empty)
    names = [str(number) for number in range(60)]
    app = make_app(url="sqs://", transport=FALLBACK_TRANSPORT, options=OPTIONS)
    for name in names:
        app.send_task("note", (name,), queue=queue)
    _worker(start_worker, f"{queue},{empty}", pool=pool)
    began = time.monotonic()

    ledger.wait(*names)

    assert time.monotonic() - began < 15


def test_no_queue_is_made_or_listed(aws_environment: MiniStack, queue: str) -> None:
    proxy = FaultySqs(aws_environment.port)
    proxy.start()
    try:
        with Connection(
            f"sqs://test:test@127.0.0.1:{proxy.port}", transport=FALLBACK_TRANSPORT, transport_options=OPTIONS
        ) as connection:
            channel = connection.default_channel
            Queue(queue, routing_key=queue)(channel).declare()
            Producer(channel).publish({"a": 1}, routing_key=queue)
            message = Queue(queue, routing_key=queue)(channel).get()
            message.ack()
            with pytest.raises(Exception, match="made by deploying a release"):
                Producer(channel).publish({}, routing_key="nobody-made-this")
    finally:
        proxy.stop()
    assert message.headers[messages.DELIVERIES_HEADER] == 0
    assert not any("CreateQueue" in target or "ListQueues" in target for target in proxy.targets)
    assert sum("GetQueueUrl" in target for target in proxy.targets) == 2


def test_the_envelope_costs_little(aws_environment: MiniStack, queue: str) -> None:
    """kombu encodes twice in base64, which makes 1.78 of 1."""
    with Connection("sqs://", transport=FALLBACK_TRANSPORT, transport_options=OPTIONS) as connection:
        Producer(connection.default_channel).publish({"a": "x" * 600_000}, routing_key=queue)
        channel = connection.default_channel
        assert len(Queue(queue, routing_key=queue)(channel).get().payload["a"]) == 600_000
        Producer(channel).publish({"a": "x" * 900_000}, routing_key=queue)


def test_many_that_are_due_soon_are_hidden_too_and_run_in_time(
    aws: MiniStack, queue: str, start_worker: StartWorker, ledger: Ledger
) -> None:
    app = make_app(url="sqs://", transport=FALLBACK_TRANSPORT, options=OPTIONS)
    at = time.time() + 12
    for number in range(60):
        eta_ = datetime.fromtimestamp(at, UTC)
        app.send_task("arrived_in_time", (f"far-{number}", at), queue=queue, eta=eta_, DelaySeconds=0)
    worker = _worker(start_worker, queue)
    wait_for(lambda: _counts(aws, queue) == (0, 60, 0), seconds=60, what="hiding")
    _send(queue, "note", "now")

    ledger.wait("now")
    assert time.time() < at, "it waited for what was not due"
    assert not worker.said("arrived_in_time["), "it holds them"
    wait_for(lambda: len(ledger.lines()) == 61, seconds=60, what="all of them")
    late = [float(line.split()[1]) for line in ledger.lines() if line != "now"]
    assert min(late) > -0.05


def test_when_a_message_is_hidden() -> None:
    def body(at: str | None) -> str:
        return json.dumps({"headers": {"eta": at}, "body": '{"eta": 1}'})

    def hidden(text: str, *, may_hold: bool = True) -> int:
        return eta.hide_seconds(text, now=1767225600.0, may_hold=may_hold)

    assert hidden(body("2026-01-01T00:10:00+00:00")) == 600
    assert hidden(body("2026-01-01T00:10:00")) == 600
    assert hidden(body("2026-01-01T00:00:02.9")) == 2
    assert hidden(body("2026-01-03T00:00:00+00:00")) == 12 * 3600 - 60
    assert [hidden(body("2026-01-01T00:00:00.4"), may_hold=held) for held in (True, False)] == [0, 1]
    for at in ("2025-01-01T00:00:00+00:00", "tomorrow", None):
        assert hidden(body(at), may_hold=False) == 0
    assert hidden('no JSON "eta"') == 0
    assert eta.publish_delay_seconds({"headers": {"eta": "2026-01-01T01:00:00"}}, now=1767225600.0) == 900


@pytest.mark.parametrize(
    "body", ["no JSON", "[]", '{"properties": 3}', '{"properties": {"body_encoding": "base64"}, "body": "a"}']
)
def test_what_is_no_message_can_be_looked_at(aws: MiniStack, queue: str, body: str) -> None:
    sqs = aws.client("sqs")
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=queue)["QueueUrl"], MessageBody=body)
    with Connection("sqs://", transport=FALLBACK_TRANSPORT, transport_options=OPTIONS) as connection:
        message = Queue(queue, routing_key=queue)(connection.default_channel).get()
        assert message.body == body.encode()
        message.ack()
    wait_for(lambda: _counts(aws, queue) == (0, 0, 0), what="the message's delete")
