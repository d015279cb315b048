"""What a deploy says about its release when it has ended."""

from __future__ import annotations

from dataclasses import replace

import pytest
from taskfleet.releases.model import Pointer, Record, State
from taskfleet.releases.store import Snapshot

from infra.outcome import describe
from tests.taskfleet.releases.factory import T0, record

S = State
READY = replace(record(state=S.GATING), gate_passed_at=T0)


def _said(*records: Record, since: float = T0, looked_at: float | None = T0 + 5) -> list[str]:
    snapshot = Snapshot({r.release: r for r in records}, Pointer("blue", 1), {}, None)
    return describe(snapshot, since=since, looked_at=looked_at, now=T0 + 10)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (record(state=S.CURRENT), "release green is current: for the test"),
        (record(state=S.FAILED), "release green failed: for the test. Release blue is current as before"),
        (READY, "release green has passed its gate; make it current: fleet release promote green --yes"),
        (
            record(state=S.CURRENT, gate_took=(("fallback", 71.4), ("primary", 3.2))),
            "release green is current: for the test; its gate took 71 s on SQS and 3 s on Redis",
        ),
        (
            record(state=S.CURRENT, gate_took=(("primary", 3.2), ("shop.database_answers", 4.9))),
            "release green is current: for the test; its gate took 3 s on Redis and 5 s until "
            "shop.database_answers had ended",
        ),
        (
            record(state=S.DRAINING, gate_took=(("primary", 3.2),)),
            "release green is draining: for the test",
        ),
        (replace(READY, gate_passed_at=None), "release green is gating: for the test"),
    ],
)
def test_each_release_that_was_moved_has_its_line(made: Record, said: str) -> None:
    assert _said(made, record("blue", S.CURRENT, at=T0 - 60)) == [said]


def test_one_that_was_not_moved_is_not_mentioned() -> None:
    assert _said(record(state=S.CURRENT), since=T0 + 1) == []


@pytest.mark.parametrize(
    ("looked_at", "said"), [(None, "has not looked yet"), (T0 - 90, "has not looked for 100 s")]
)
def test_a_silent_controller_is_named(looked_at: float | None, said: str) -> None:
    (line,) = _said(looked_at=looked_at)
    assert said in line
    assert "controller-silent.md" in line
