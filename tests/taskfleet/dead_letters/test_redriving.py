"""Sending letters again: what is sent, in which order of steps, and that a worker runs it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from taskfleet.contract import environment as env
from taskfleet.contract.limits import MESSAGE_BODY_MAX_BYTES
from taskfleet.contract.manifest import PoolManifest, ReleaseManifest
from taskfleet.contract.messages import RELEASE_HEADER
from taskfleet.dead_letters.dead_letter import DeadLetterKind
from taskfleet.dead_letters.redriving import Redrive, sqs_text
from taskfleet.errors import DeadLetterError
from taskfleet.publishing.publisher import force_broker

from tests.support.processes import wait_for
from tests.support.tiny_fleet import QUEUES, TinyFleet
from tests.taskfleet.dead_letters.test_store import letter

RECORD = "drills.record"
POOL = PoolManifest("low", QUEUES, (), slots=2, min_workers=1, max_workers=3, latency_target_seconds=60)


def redrive(fleet: TinyFleet, release: str = "r1", **more: Any) -> Redrive:
    manifest = ReleaseManifest(release, "image", (POOL,), drain_deadline_seconds=600)
    given = {"per_second": 1000.0} | more
    return Redrive(
        sqs=fleet.aws.client("sqs"), store=fleet.store, environment=fleet.name, manifest=manifest, **given
    )


@pytest.mark.parametrize(
    ("compression", "broker"), [(None, env.PRIMARY), ("gzip", env.PRIMARY), ("bzip2", env.FALLBACK)]
)
def test_a_failure_runs_again_on_the_current_release_under_its_id(
    fleet: TinyFleet, compression: str | None, broker: str
) -> None:
    fleet.deploy("r2")
    fleet.start_worker("r1", **{env.BROKER.name: broker})
    with force_broker(broker):
        sent = fleet.app().send_task(
            RECORD, ["again", 1, "not a number of seconds"], retries=5, compression=compression
        )
    wait_for(lambda: fleet.dead_letters("low") == 1, what="the letter")
    (heading,) = fleet.store.headings(["low"])
    kept = fleet.store.get(heading.id)
    assert kept is not None
    assert kept.args == "['again', 1, 'not a number of seconds'] {}"
    # As if its code had been mended.
    mended = replace(kept, message=replace(kept.message, body=b'[["again", 1], {}, null]'))

    redrive(fleet, "r2").send(mended)

    assert fleet.dead_letters("low") == 0
    fleet.start_worker("r2", **{env.BROKER.name: env.FALLBACK})
    fleet.wait_executed("again", 1)
    (ran,) = fleet.events("record")
    assert (ran["id"], ran["queue"], ran["broker"]) == (sent.id, "low.r2", env.FALLBACK)
    began = [line for line in fleet.events("began") if line["queue"] == "low.r2"]
    assert [line["retries"] for line in began] == [0]


def test_what_is_sent_begins_anew() -> None:
    kept = letter()

    sent = json.loads(sqs_text(kept, "r9", now=5.0))

    assert sent["body"].encode() == kept.message.body
    assert sent["headers"] | {"retries": 0, "eta": None, "expires": None} == sent["headers"]
    assert sent["headers"][RELEASE_HEADER] == "r9"
    assert sent["headers"]["id"] == kept.task_id
    assert sent["properties"]["delivery_info"]["routing_key"] == "low.r9"
    assert sent["properties"]["priority"] == 3


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"task": None, "task_id": None, "kind": DeadLetterKind.NOT_A_MESSAGE}, "names no task"),
        ({"body": b"x" * (MESSAGE_BODY_MAX_BYTES + 1)}, "workers take"),
        ({"body": b"\xff\xfe"}, "not text"),
        ({"queue": "elsewhere"}, "has no queue 'elsewhere'"),
    ],
    ids=["no task", "too large", "binary", "no such queue"],
)
def test_what_can_not_be_sent_stays_with_its_reason(
    fleet: TinyFleet, changes: dict[str, Any], why: str
) -> None:
    kept = letter(**changes)
    fleet.store.put(kept)

    for step in (redrive(fleet).check, redrive(fleet).send):
        with pytest.raises(DeadLetterError, match=why):
            step(kept)

    assert fleet.store.get(kept.id) == kept
    assert fleet.waiting_on_sqs("low", "r1") == 0


def test_a_letter_that_sqs_does_not_accept_stays(fleet: TinyFleet) -> None:
    fleet.store.put(kept := letter())
    sqs = fleet.aws.client("sqs")

    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        redrive(fleet, "not-deployed").send(kept)

    assert fleet.store.get(kept.id) == kept


def test_the_rate_is_kept(fleet: TinyFleet) -> None:
    slept: list[float] = []
    machine = redrive(fleet, per_second=4.0, clock=lambda: 100.0 + sum(slept), sleep=slept.append)
    for _ in range(3):
        machine.send(letter())

    assert slept == [0.0, 0.25, 0.25]
