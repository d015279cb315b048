"""On SQS as on Redis: what a worker holds is kept hidden by something that no task can starve."""

from __future__ import annotations

import os
import signal
from collections import Counter
from uuid import uuid4

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from taskfleet.brokers import FALLBACK_TRANSPORT
from taskfleet.brokers.sqs import renewing
from taskfleet.brokers.sqs.remembering import MOST, Memory

from tests.brokers.celery_app import make_app
from tests.brokers.http_faults import FaultySqs
from tests.brokers.test_redis_leases import lives, renewing_of
from tests.brokers.workers import Ledger, StartWorker, Worker
from tests.support.ministack import MiniStack
from tests.support.processes import wait_for

OPTIONS = {"region": "us-east-1", "wait_time_seconds": 1, "lease_seconds": 3, "renewing_process": True}
HOURS = 3600.0


@pytest.fixture
def queue(aws_environment: MiniStack) -> str:
    """A queue of the test's own."""
    name = f"tests-{uuid4().hex[:8]}"
    aws_environment.client("sqs").create_queue(QueueName=name)
    return name


def _send(queue: str, name: str, *arguments: object) -> None:
    make_app(url="sqs://", transport=FALLBACK_TRANSPORT, options=OPTIONS).send_task(
        name, arguments, queue=queue
    )


def _start(start_worker: StartWorker, queue: str, **more: object) -> Worker:
    given = {"url": "sqs://", "transport": FALLBACK_TRANSPORT, "options": OPTIONS, "queues": queue} | more
    return start_worker(**given).wait_ready()


def _empty(aws: MiniStack, queue: str) -> bool:
    sqs = aws.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    names = ("", "NotVisible", "Delayed")
    return not any(int(found[f"ApproximateNumberOfMessages{name}"]) for name in names)


@pytest.mark.parametrize("pool", ["threads", "gevent"])
def test_a_task_that_holds_pythons_lock_repeats_nothing(
    pool: str, aws: MiniStack, queue: str, start_worker: StartWorker, ledger: Ledger
) -> None:
    """Three leases long; another worker is there, which gets what has lapsed."""
    starved = _start(start_worker, queue, pool=pool, concurrency=2)
    _send(queue, "slow", "beside", 9)
    ledger.wait("begin beside", seconds=60)
    _send(queue, "hold_the_lock", "starving", 9)
    ledger.wait("begin starving", seconds=60)
    _start(start_worker, queue, pool=pool)

    ledger.wait("end beside", "end starving", seconds=60)
    wait_for(lambda: _empty(aws, queue), seconds=60, what="the deletes")
    ran = Counter(ledger.lines())
    assert ran == dict.fromkeys(ran, 1)
    assert not starved.exited


def test_children_that_are_busy_do_not_starve_their_parent(
    queue: str, start_worker: StartWorker, ledger: Ledger
) -> None:
    """Four for each of the two processors of a small machine; without the renewing process."""
    prefork = {"options": OPTIONS | {"renewing_process": False, "lease_seconds": 6}, "concurrency": 8}
    _start(start_worker, queue, **prefork)
    _start(start_worker, queue, **prefork | {"concurrency": 1})
    for number in range(8):
        _send(queue, "compute", str(number), 13)

    ledger.wait(*(f"end {number}" for number in range(8)), seconds=60)
    ran = Counter(ledger.lines())
    assert ran == dict.fromkeys(ran, 1)


def test_a_worker_that_is_stopped_gives_way_and_its_renewing_process_ends_with_it(
    queue: str, start_worker: StartWorker, ledger: Ledger
) -> None:
    stopped = _start(start_worker, queue, pool="threads")
    _send(queue, "slow", "orphan", 3600)
    ledger.wait("begin orphan", seconds=60)
    process = renewing_of(stopped)
    _start(start_worker, queue, pool="threads")

    stopped.signal(signal.SIGSTOP)

    wait_for(lambda: Counter(ledger.lines())["begin orphan"] == 2, seconds=60, what="redelivery")
    assert renewing_of(stopped) == process
    stopped.process.kill()
    wait_for(lambda: not any(lives(pid) for pid in process), what="its end")


def test_a_renewing_process_that_died_is_started_again_and_one_worker_has_one(
    queue: str, start_worker: StartWorker, ledger: Ledger
) -> None:
    worker = _start(start_worker, queue, pool="threads")
    _send(queue, "slow", "long", 8)
    ledger.wait("begin long", seconds=60)
    [first] = renewing_of(worker)

    os.kill(first, signal.SIGKILL)

    wait_for(lambda: not lives(first), what="its end")
    wait_for(lambda: renewing_of(worker, at_least=0) not in ([], [first]), seconds=60, what="the next one")
    [second] = renewing_of(worker)
    worker.stop(seconds=60)
    wait_for(lambda: not lives(second), what="the end of that one, too")


@pytest.mark.parametrize("concurrency", [1, 2])
def test_an_end_after_the_lease_counts(
    concurrency: int,
    aws: MiniStack,
    queue: str,
    faults: FaultySqs,
    start_worker: StartWorker,
    ledger: Ledger,
) -> None:
    """With a free slot the worker gets its own message while it runs it; without one, after the end."""
    faults.fail("503", operation="ChangeMessageVisibilityBatch", times=10_000)
    door = {"environment": {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{faults.port}"}}
    _start(start_worker, queue, pool="threads", concurrency=concurrency, **door)

    _send(queue, "slow", "long", 9)

    ledger.wait("end long", seconds=60)
    wait_for(lambda: _empty(aws, queue), seconds=60, what="the delete")
    assert Counter(ledger.lines()) == {"begin long": 1, "end long": 1}


def test_nothing_is_hidden_for_longer_than_sqs_allows() -> None:
    def hidden(held_hours: float) -> int:
        return renewing.hidden_for(60, received_at=0.0, now=held_hours * HOURS)

    assert [hidden(0), hidden(11.9), hidden(12), hidden(20)] == [60, 60, 0, 0]
    assert renewing.hidden_for(60, received_at=0.0, now=12 * HOURS - 90) == 30


@pytest.mark.parametrize("token", [None, "session token"])
def test_its_signature_is_what_the_sdk_would_sign(token: str | None) -> None:
    account = {"endpoint": "https://sqs.eu-west-1.amazonaws.com", "region": "eu-west-1"}
    account |= {"key": "AKID", "secret": "secret", "token": token}
    headers = renewing.signed(account, b"{}", now=1767225600.0)
    made = {name: value for name, value in headers.items() if name not in ("authorization", "host")}
    request = AWSRequest("POST", account["endpoint"] + "/", headers=made, data=b"{}")
    request.context["timestamp"] = made["x-amz-date"]
    theirs = SigV4Auth(Credentials("AKID", "secret", token), "sqs", "eu-west-1")
    theirs_text = theirs.string_to_sign(request, theirs.canonical_request(request))

    assert headers["authorization"].endswith(f"Signature={theirs.signature(theirs_text, request)}")


def test_a_memory_has_an_end_and_forgets_the_oldest() -> None:
    memory = Memory()
    memory.given_back("tag", "given back")
    for number in range(MOST):
        memory.ended(str(number))
    memory.ended_late("tag")
    memory.ended_late("unknown")

    known = ("given back", "1", "0", "unknown")
    assert [memory.has_ended(each) for each in known] == [True, True, False, False]
