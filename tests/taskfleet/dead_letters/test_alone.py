"""A message that ends its workers takes nobody along once that is suspected."""

from __future__ import annotations

import json

from taskfleet.contract import environment as env
from taskfleet.contract import names, tools
from taskfleet.contract.limits import MOST_DELIVERIES
from taskfleet.contract.messages import DELIVERIES_HEADER
from taskfleet.dead_letters.dead_letter import DeadLetterKind
from taskfleet.tools.table import Table
from taskfleet.worker.alone import MOST_BEGUN

from drills.malformed import message
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.taskfleet.dead_letters.test_failures import APP, letters, unacknowledged

ON_SQS = {**APP, env.BROKER.name: env.FALLBACK}
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
    assert kept.kind is DeadLetterKind.TOO_MANY_DELIVERIES
    assert kept.reason.startswith(f"delivered {MOST_DELIVERIES} times before and never acknowledged")


def received(fleet: TinyFleet, times: int, task: str, *args: object, begun: int = 0) -> str:
    """Into the SQS queue, and received so often; its id there. ``begun`` of them were counted."""
    sqs, text = (
        fleet.aws.client("sqs"),
        message("low", "r1", headers={"task": task}, body=json.dumps([args, {}, None])),
    )
    url = sqs.get_queue_url(QueueName=names.fallback_queue(fleet.name, "low", "r1"))["QueueUrl"]
    message_id = str(sqs.send_message(QueueUrl=url, MessageBody=text)["MessageId"])
    seen = 0
    while seen < times:
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0).get(
            "Messages", []
        )
        seen += sum(each["MessageId"] == message_id for each in found)
    if begun:
        table(fleet).update(tools.begun(message_id), "SET #begun = :n", {":n": begun})
    return message_id


def table(fleet: TinyFleet) -> Table:
    return Table(fleet.aws.client("dynamodb"), fleet.name)


def begun(fleet: TinyFleet, message_id: str) -> int | None:
    return table(fleet).get(tools.begun(message_id)).get("begun")


def test_on_sqs_only_what_had_begun_counts(fleet: TinyFleet) -> None:
    """All were received more often than a message may begin: fetched along, or given back by deploys."""
    guilty = received(fleet, MOST_DELIVERIES + 2, "ends.its-worker", begun=MOST_BEGUN)
    innocent = [received(fleet, MOST_DELIVERIES + 2, "ends.well", n, begun=n) for n in range(3)]
    worker = fleet.start_worker("r1", **ON_SQS)

    fleet.wait_executed("well", 3, seconds=60)
    wait_for(lambda: fleet.dead_letters("low") == 1, seconds=60, what="the letter")
    wait_for(lambda: fleet.waiting_on_sqs("low", "r1") == 0, seconds=60, what="nothing left")
    kept = letters(fleet)["ends.its-worker"]
    assert kept.kind is DeadLetterKind.TOO_MANY_DELIVERIES
    assert f"begun {MOST_BEGUN} times with nothing beside it" in kept.reason
    assert begun(fleet, guilty) == MOST_BEGUN + 1
    assert [begun(fleet, each) for each in innocent] == [1, 2, 3]
    assert worker.poll() is None


def test_on_sqs_a_suspect_that_is_given_back_in_order_has_not_begun(fleet: TinyFleet) -> None:
    suspect = received(fleet, MOST_DELIVERIES, "ends.slowly")
    worker = fleet.start_worker("r1", **ON_SQS, **{env.SOFT_SHUTDOWN_SECONDS.name: "1"})
    wait_for(lambda: begun(fleet, suspect) == 1, seconds=60, what="its begin")

    worker.terminate()

    worker.wait(60)
    assert begun(fleet, suspect) == 0
    assert fleet.waiting_on_sqs("low", "r1") == 1
