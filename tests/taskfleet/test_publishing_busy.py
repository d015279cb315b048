"""A busy producer: many threads or greenlets and a computing one beside them; Redis well, then hung."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

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
