"""What the drill of a busy producer makes of what its crowds saw."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drills.busy_producer import Crowd, Seen, _report
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


def test_a_witness_tells_when_sqs_was_slow() -> None:
    witness = Witness.__new__(Witness)
    witness.calls = [(1.0, 0.01, True), (2.0, SLOW_SECONDS, True), (3.0, 0.01, False)]

    assert [witness.slow(at, 0.1) for at in (1.0, 1.95, 2.2, 2.5, 2.95)] == [False, True, True, False, True]


def test_what_was_accepted_must_be_executed() -> None:
    crowd = seen((0, 1.0, 0.01, 0.0, "primary"), (1, 1.0, 2.0, 0.0, None), (2, 1.0, 0.5, 0.3, "fallback"))

    assert crowd.accepted == {("run", 0), ("run", 2)}
