"""Depths of SQS queues, on an emulated SQS."""

from __future__ import annotations

import uuid

import boto3
from botocore.config import Config
from taskfleet.measuring.fallback import Fallback

from tests.support.ministack import MiniStack
from tests.support.processes import free_port


def test_waiting_in_flight_and_delayed_are_counted(aws: MiniStack) -> None:
    sqs, name = aws.client("sqs"), f"taskfleet-t-low-{uuid.uuid4().hex[:6]}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    for _ in range(3):
        sqs.send_message(QueueUrl=url, MessageBody="x")
    sqs.send_message(QueueUrl=url, MessageBody="x", DelaySeconds=600)
    sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)
    found = Fallback(sqs).look([name])
    depth = found.depths[name]
    assert (depth.waiting, depth.in_flight, depth.delayed, depth.total) == (2, 1, 1, 4)
    assert (found.up, found.problem) == (True, None)


def test_a_queue_that_does_not_exist_is_missing_and_sqs_is_up(aws: MiniStack) -> None:
    sqs, name = aws.client("sqs"), f"taskfleet-t-low-{uuid.uuid4().hex[:6]}"
    found = Fallback(sqs).look(["no-such-queue"])
    assert (found.depths, found.missing, found.up) == ({}, {"no-such-queue"}, True)
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    fallback = Fallback(sqs)
    assert fallback.look([name]).depths[name].total == 0
    sqs.delete_queue(QueueUrl=url)
    assert fallback.look([name]).missing == {name}


def test_no_answer_is_unknown_and_is_asked_for_only_once() -> None:
    sqs = boto3.client(
        "sqs",
        endpoint_url=f"http://127.0.0.1:{free_port()}",
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}),
    )
    found = Fallback(sqs).look(["a", "b"])
    assert (found.depths, found.missing, found.up) == ({}, frozenset(), False)
    assert "does not answer" in str(found.problem)


def test_nothing_to_ask_says_nothing(aws: MiniStack) -> None:
    assert Fallback(aws.client("sqs")).look([]).up is None
