"""What the drill of a busy producer makes of what its crowds saw."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drills import busy_producer
from drills.busy_producer import Crowd, Seen, _report
from drills.redis_witness import SLOW_SECONDS as SLOW_OF_REDIS
from drills.redis_witness import Call, RedisWitness
from drills.witness import SLOW_SECONDS, Witness

Line = tuple[int, float, float, float, str | None]


def seen(*lines: Line, errors: tuple[str, ...] = ()) -> Seen:
    return Seen(Crowd(16), "run", lines, errors)


WELL = seen((0, 1.0, 0.01, 0.0, "primary"))
HUNG = seen((0, 1.0, 0.9, 0.3, "fallback"), (1, 1.0, 0.01, 0.0, "primary"))


@pytest.mark.parametrize(
    ("well", "hung", "lost", "holds"),
    [
        (WELL, HUNG, 0, True),
        (WELL, HUNG, 1, False),
        (seen((0, 1.0, 0.4, 0.3, "fallback")), HUNG, 0, False),  # Redis was well
        (seen((0, 1.0, 2.0, 0.0, None), errors=("PublishError",)), HUNG, 0, False),
        (WELL, WELL, 0, False),  # nothing turned to SQS: Redis did not hang
        (WELL, seen((0, 1.0, 2.0, 0.5, "fallback")), 0, False),  # too late
        (WELL, seen((0, 1.0, 0.9, 0.3, "fallback"), (1, 1.0, 2.0, 0.0, None)), 0, False),
    ],
)
def test_what_must_hold(well: Seen, hung: Seen, lost: int, holds: bool) -> None:
    assert _report([well], [hung], lost=lost, limit=1.0).holds is holds


@pytest.mark.parametrize(("slow", "holds"), [(1.5, True), (0.5, False)])
def test_what_was_refused_while_sqs_was_slow_is_not_held_against_it(slow: float, holds: bool) -> None:
    hung = seen((0, 1.0, 0.9, 0.3, "fallback"), (1, 1.0, 1.0, 1.0, None))
    hung = replace(hung, sqs_was_slow=lambda at, seconds: at <= slow <= at + seconds)

    assert _report([WELL], [hung], lost=0, limit=1.0).holds is holds


@pytest.mark.parametrize(("slow", "holds"), [(1.2, True), (5.0, False)])
@pytest.mark.parametrize("broker", ["fallback", None])
def test_what_turned_while_redis_was_slow_is_not_held_against_it(
    broker: str | None, slow: float, holds: bool
) -> None:
    well = seen((0, 1.0, 0.01, 0.0, "primary"), (1, 1.0, 0.4, 0.1, broker))
    well = replace(well, redis_was_slow=lambda at, seconds: at <= slow <= at + seconds)

    assert _report([well], [HUNG], lost=0, limit=1.0).holds is holds


def test_processes_of_one_crowd_are_reported_together() -> None:
    crowd = Crowd(1, processes=2)
    well = [replace(seen((0, 1.0, 0.4, 0.1, broker)), crowd=crowd) for broker in ("primary", "fallback")]

    report = _report(well, [HUNG], lost=0, limit=1.0)

    assert (report.figures["2_processes_to_sqs"], report.holds) == (1, False)


@pytest.mark.parametrize(
    ("call", "slow"),
    [
        (Call(1.0, 0.01, True), False),
        (Call(1.0, SLOW_OF_REDIS, True), True),
        (Call(1.0, 0.01, False), True),
        (Call(3.0, 5.0, True), False),  # later
    ],
)
def test_a_witness_tells_when_redis_was_slow(call: Call, slow: bool) -> None:
    witness = RedisWitness.__new__(RedisWitness)
    witness.calls = [call]

    assert witness.slow(0.9, 0.2) is slow


def test_a_witness_tells_when_sqs_was_slow() -> None:
    witness = Witness.__new__(Witness)
    witness.calls = [(1.0, 0.01, True), (2.0, SLOW_SECONDS, True), (3.0, 0.01, False)]

    assert [witness.slow(at, 0.1) for at in (1.0, 1.95, 2.2, 2.5, 2.95)] == [False, True, True, False, True]


class Journal:
    """Something of it each time that it is read, with pauses."""

    def __init__(self, *reads: list[int]) -> None:
        self.reads = list(reads)

    def read(self) -> list[dict[str, Any]]:
        numbers = self.reads.pop(0) if self.reads else []
        return [{"event": "record", "run": "run", "n": number} for number in numbers]


def test_what_is_late_is_waited_for_and_what_never_comes_is_listed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(busy_producer, "SETTLE_SECONDS", 1.2)
    monkeypatch.setattr(busy_producer, "MISSING", tmp_path / "missing.json")
    crowd = seen(*((number, 5.0, 0.01, 0.0, "fallback") for number in range(4)))

    missing = busy_producer._never_executed(Journal([], [0], [], [1], [], [2]), [crowd])  # type: ignore[arg-type]
    busy_producer._keep(missing, [crowd])

    assert missing == {("run", 3)}
    assert json.loads((tmp_path / "missing.json").read_text()) == [["run", 3, "fallback", 5.0]]


def test_what_was_accepted_must_be_executed() -> None:
    crowd = seen((0, 1.0, 0.01, 0.0, "primary"), (1, 1.0, 2.0, 0.0, None), (2, 1.0, 0.5, 0.3, "fallback"))

    assert crowd.accepted == {("run", 0), ("run", 2)}
