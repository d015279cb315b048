"""A busy producer: many threads or greenlets and a computing one beside them; Redis well, then hung."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from typing import Any

import pytest
from taskfleet.contract.environment import FALLBACK
from taskfleet.publishing.breaker import State
from taskfleet.publishing.publisher import force_broker

from tests.support.publishing import in_threads
from tests.support.tiny_fleet import TinyFleet

CROWDS = {
    "64 threads": ["--members", "64"],
    "100 greenlets": ["--members", "100", "--greenlets"],
}


def start(fleet: TinyFleet, *arguments: str) -> subprocess.Popen[str]:
    """Returns when it begins to publish."""
    process = subprocess.Popen(
        [sys.executable, "-m", "drills.crowd", "--run", "crowd", *arguments],
        env=fleet.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while (line := process.stderr.readline()) != "begins\n":
        assert process.poll() is None or line, "it ended"
    return process


def result(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.mark.parametrize("crowd", CROWDS)
def test_while_redis_answers_nothing_goes_to_sqs_and_nothing_is_refused(fleet: TinyFleet, crowd: str) -> None:
    seen = result(start(fleet, *CROWDS[crowd], "--compute", "--count", "1500"))

    assert seen["errors"] == []
    assert Counter(broker for *_, broker in seen["publishes"]) == {"primary": 1500}
    assert fleet.waiting("low", "r1") == 1500 + 5


@pytest.mark.parametrize("crowd", CROWDS)
def test_when_redis_hangs_all_of_them_turn_to_sqs(fleet: TinyFleet, crowd: str) -> None:
    process = start(fleet, *CROWDS[crowd], "--seconds", "3")
    fleet.valkey.pause()

    seen = result(process)

    assert seen["errors"] == []
    brokers = Counter(broker for *_, broker in seen["publishes"])
    assert brokers["fallback"] > 0
    assert fleet.waiting_on_sqs("low", "r1") == brokers["fallback"]


def test_who_waits_while_redis_is_silent_waits_for_no_second_connection(fleet: TinyFleet) -> None:
    app = fleet.app()
    app.send_task("anything", queue="low")
    with force_broker(FALLBACK):
        app.send_task("anything", queue="low")
    fleet.valkey.pause()
    primary = app.taskfleet.publisher._primary

    took, refused = in_threads(app, threads=20, times=1)

    # The second failure in a row, that of another connection, would have opened it.
    assert primary._breaker.state is State.CLOSED
    assert not refused
    assert fleet.waiting_on_sqs("low", "r1") == 21
    assert len(took) == 20


def test_nor_for_the_next_one_when_a_connection_was_in_vain(fleet: TinyFleet) -> None:
    app = fleet.app()
    primary = app.taskfleet.publisher._primary
    fleet.valkey.pause()
    primary._pipeline.close()

    began = time.monotonic()
    in_threads(app, threads=20)

    assert primary._breaker.state is State.CLOSED
    assert time.monotonic() - began < 5
    assert fleet.waiting_on_sqs("low", "r1") == 20
