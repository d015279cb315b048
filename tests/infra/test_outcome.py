"""What a deploy says about its release when it has ended."""

from __future__ import annotations

from dataclasses import replace

import pytest
from taskfleet.contract.manifest import AUTOMATIC
from taskfleet.releases.model import Pointer, Record, State
from taskfleet.releases.store import Snapshot

from infra.outcome import describe, follow
from tests.taskfleet.releases.factory import T0, manifest, record

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


class Told:
    """A state table that says one thing after the other, and a controller that looks until it stops."""

    def __init__(self, *steps: tuple[Record, ...], looks: int = 1000) -> None:
        self.steps, self.now, self.looks = list(steps), T0, looks

    def scan(self) -> Snapshot:
        records = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        current = next((r.release for r in records if r.state is S.CURRENT), "blue")
        return Snapshot({r.release: r for r in records}, Pointer(current, 1), {}, None)

    def read_look(self) -> tuple[str, float]:
        self.looks -= 1
        self.looked_at = self.now if self.looks > 0 else T0
        return "", self.looked_at

    def sleep(self, _seconds: float) -> None:
        self.now += 10


BLUE, AUTO = record("blue", S.CURRENT, at=T0 - 60), manifest(promotion=AUTOMATIC)
PASSED = replace(READY, manifest=AUTO)
CANARY = record(state=S.CANARY, manifest=AUTO)
BAKES = record(state=S.CURRENT, manifest=AUTO, goes_back_to="blue")
BAKED = replace(BAKES, goes_back_to=None)
REJECTED = replace(record(state=S.DRAINING), rejected="it failed its canary: more of its tasks fail")
DRAINS = record("blue", S.DRAINING, at=T0 - 60)


@pytest.mark.parametrize(
    ("steps", "well", "says"),
    [
        ([(BLUE, PASSED), (DRAINS, BAKED)], True, 1),
        ([(BLUE, PASSED), (BLUE, CANARY), (BLUE, CANARY), (DRAINS, BAKES), (DRAINS, BAKED)], True, 3),
        ([(BLUE, CANARY), (BLUE, REJECTED)], False, 1),
        ([(DRAINS, BAKES), (BLUE, REJECTED)], False, 1),
        ([(BLUE, CANARY), (BLUE, record(state=S.DRAINING, gate_passed_at=T0))], False, 1),
        ([(BLUE, replace(CANARY, paused="ops"))], True, 0),
        ([(BLUE, replace(PASSED, manifest=manifest()))], True, 0),
        ([(BLUE, replace(CANARY, gate_passed_at=T0 - 1))], True, 0),
    ],
    ids=[
        "promoted",
        "canary and bake",
        "canary fails",
        "bake fails",
        "overtaken",
        "paused",
        "by hand",
        "not of this deploy",
    ],
)
def test_a_deploy_is_followed_until_its_release_has_baked_or_failed(
    steps: list[tuple[Record, ...]], well: bool, says: int
) -> None:
    told, said = Told(*steps), list[str]()
    _, ended = follow(told, since=T0, say=said.append, sleep=told.sleep, clock=lambda: told.now)  # type: ignore[arg-type]
    assert (ended, len(said)) == (well, says), said


def test_a_controller_that_is_silent_for_minutes_is_not_waited_for() -> None:
    told = Told((BLUE, CANARY), looks=3)
    _, well = follow(told, since=T0, say=print, sleep=told.sleep, clock=lambda: told.now)  # type: ignore[arg-type]
    assert not well
    assert 300 < told.now - T0 < 400


def test_a_rejected_release_says_why_and_who_serves() -> None:
    assert _said(REJECTED, BLUE) == [
        "release green is draining: it failed its canary: more of its tasks fail. Release blue is current"
    ]
