"""What a producer publishes, and under which numbers."""

from __future__ import annotations

import argparse
import io
import json
from typing import Any

import pytest

from drills import mixed, producer
from drills.tally import Publish

COUNT, EVERY = 20, 2


def produce(first: int) -> list[dict[str, Any]]:
    def publish(_call: object, n: int, queue: str) -> Publish:
        return Publish(n=n, at=1.0, seconds=0.1, broker="fallback", queue=queue, sqs_seconds=0.1, opened=True)

    given = argparse.Namespace(
        run="r", rate=10_000, seconds=COUNT / 10_000, first=first, step=2, queues="high,low", task="record"
    )
    given.task_seconds, given.options, given.mixed_every = "0", {}, EVERY
    out = io.StringIO()
    producer._produce(given, out, publish)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_whatever_is_to_be_executed_has_a_number_of_its_own() -> None:
    lines = produce(0) + produce(1)

    mixed_each = COUNT // EVERY
    more = sum(mixed.WORKFLOWS[number % len(mixed.WORKFLOWS)].numbers - 1 for number in range(mixed_each))
    assert len(lines) == 2 * (COUNT + more)
    assert len({line["n"] for line in lines}) == len(lines)


def test_what_a_task_starts_is_no_publish_of_the_producer() -> None:
    lines = produce(0)

    assert {line["broker"] for line in lines} == {"fallback"}
    assert sum(line["opened"] for line in lines) == COUNT
    assert sum(line["sqs_seconds"] is not None for line in lines) == COUNT


@pytest.mark.parametrize("kind", mixed.WORKFLOWS)
def test_each_kind_executes_its_numbers_on_its_queue(kind: mixed.Workflow) -> None:
    signature = kind.signature("r", list(range(kind.numbers)), "high")

    steps = getattr(signature, "tasks", [signature])
    assert {step.options["queue"] for step in steps} == {"high"}
