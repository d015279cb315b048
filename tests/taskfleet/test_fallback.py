"""Redis is away: what one bad answer of SQS does to a publish, and what many do."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from celery import Celery
from taskfleet import aws
from taskfleet.contract.environment import FALLBACK
from taskfleet.errors import PublishError
from taskfleet.publishing.publisher import force_broker

from tests.brokers.http_faults import FaultySqs
from tests.support.publishing import in_threads, together
from tests.support.tiny_fleet import TinyFleet

SEND = "SendMessage"


@pytest.fixture
def faults(fleet: TinyFleet, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultySqs]:
    """The door to SQS."""
    proxy = FaultySqs(fleet.aws.port)
    proxy.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    aws._clients.after_fork()
    yield proxy
    proxy.stop()


@pytest.fixture
def app(fleet: TinyFleet, faults: FaultySqs) -> Celery:
    """A producer that has published to SQS before, so its connection is open."""
    made = fleet.app()
    with force_broker(FALLBACK):
        made.send_task("anything")
    return made


@pytest.mark.parametrize("fault", ["reset", "503", "400"])
def test_one_bad_answer_is_no_refusal(fleet: TinyFleet, faults: FaultySqs, app: Celery, fault: str) -> None:
    faults.fail(fault, operation=SEND)

    with force_broker(FALLBACK):
        app.send_task("anything")

    assert faults.hits == 1
    assert fleet.waiting_on_sqs("low", "r1") == 2


@pytest.mark.parametrize(("fault", "may_run"), [("reset", True), ("503", True), ("400", False)])
def test_two_are_a_refusal_at_once(
    fleet: TinyFleet, faults: FaultySqs, app: Celery, fault: str, may_run: bool
) -> None:
    faults.fail(fault, operation=SEND, times=10_000)
    began = time.monotonic()

    with force_broker(FALLBACK), pytest.raises(PublishError) as refused:
        app.send_task("anything")

    assert time.monotonic() - began < 2
    assert faults.hits == 2
    assert refused.value.may_run is may_run


def test_what_sqs_may_have_taken_at_first_may_run(
    faults: FaultySqs, app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second answer is a clear no, but only to the second try."""
    answers = iter(("reset", "400"))
    monkeypatch.setattr(faults, "next_fault", lambda target: next(answers) if SEND in target else "")

    with force_broker(FALLBACK), pytest.raises(PublishError) as refused:
        app.send_task("anything")

    assert refused.value.may_run
    assert next(answers, None) is None, "both tries were made"


def test_all_threads_of_a_process_look_a_queue_up_once(faults: FaultySqs, app: Celery) -> None:
    app.taskfleet.bind(app.taskfleet.settings)  # what another process would have

    def publish() -> None:
        with force_broker(FALLBACK):
            app.send_task("anything")

    together(publish, threads=20)

    assert sum("GetQueueUrl" in target for target in faults.targets) == 1 + 1


def test_a_slow_sqs_takes_the_publishes_of_very_many_threads(
    fleet: TinyFleet, faults: FaultySqs, app: Celery
) -> None:
    """More than it has calls for at once: those that wait go out in batches, and nobody is refused."""
    faults.delay_seconds = 0.25
    fleet.valkey.pause()

    _took, refused = in_threads(app, threads=100, times=3)

    assert not refused
    batches = sum("SendMessageBatch" in target for target in faults.targets)
    assert 0 < batches < 150


def test_whose_time_is_nearly_over_has_that_of_one_call(
    fleet: TinyFleet, faults: FaultySqs, app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis, and the calls before its own, have used the rest."""
    monkeypatch.setattr("taskfleet.publishing.fallback.CALLS", 1)
    monkeypatch.setattr("taskfleet.publishing.outgoing.SECONDS", 0.1)
    app.taskfleet.bind(app.taskfleet.settings)
    refused: list[PublishError] = []

    def publish() -> None:
        with force_broker(FALLBACK):
            try:
                app.send_task("anything")
            except PublishError as error:
                refused.append(error)

    publish()
    faults.delay_seconds = 0.4
    together(publish, threads=3)

    assert not refused
    assert fleet.waiting_on_sqs("low", "r1") == 1 + 1 + 3
