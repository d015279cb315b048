"""A release's beat is part of its gate, sleeps with its workers, and is woken with them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from taskfleet.contract import state as keys
from taskfleet.contract.environment import FALLBACK, PRIMARY
from taskfleet.releases.actions import Move, PassGate, Sleep, WakeBeat
from taskfleet.releases.model import Record, State
from taskfleet.releases.observation import Memory, Observation, Rules
from taskfleet.releases.plan import plan

from tests.taskfleet.releases.factory import T0, manifest, proofs, record, seen

S = State
MANIFEST = manifest("green", beat=True)
BLUE = record("blue", S.CURRENT, at=T0 - 9)
ASLEEP = Sleep("green", ("beat-green",))
PROVEN = {
    **proofs("green", *MANIFEST.queues, broker=PRIMARY),
    **proofs("green", *MANIFEST.queues, broker=FALLBACK),
}


def green(state: State, **changes: object) -> Record:
    return replace(record("green", state, manifest=MANIFEST), **changes)  # type: ignore[arg-type]


def look(it: Record, **changes: object) -> Observation:
    return replace(seen(it, BLUE), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ticked", "passes"), [(T0 + 2, True), (T0 - 60, False), (None, False)], ids=["yes", "before", "never"]
)
def test_a_gate_passes_once_its_beat_has_ticked_since_it_was_deployed(
    ticked: float | None, passes: bool
) -> None:
    of_beat = {} if ticked is None else {keys.gate_beat("green"): ticked}
    planned = plan(look(green(S.GATING), proofs=PROVEN | of_beat), Memory())

    assert any(isinstance(action, PassGate) for action in planned.actions) is passes


def test_a_release_of_the_version_before_has_none_and_needs_none() -> None:
    planned = plan(look(record("green", S.GATING), proofs=PROVEN), Memory())

    assert any(isinstance(action, PassGate) for action in planned.actions)


def test_a_beat_that_does_not_tick_fails_the_gate_and_is_named() -> None:
    late = T0 + Rules.gate_deadline_seconds + 1
    planned = plan(look(green(S.GATING), proofs=PROVEN, now=late), Memory())

    (move,) = (action for action in planned.actions if isinstance(action, Move))
    assert (move.to, move.reason) == (S.FAILED, "within 900 s there was no proof from its beat")


def of_beat(it: Record, wanted: int, **changes: object) -> list[object]:
    planned = plan(look(it, beats={"green": wanted}, **changes), Memory())
    return [one for one in planned.actions if one == ASLEEP or isinstance(one, WakeBeat)]


AWAKE = [green(state) for state in (S.REGISTERED, S.GATING, S.DRAINING, S.DRAINED)]
AT_REST = [
    green(S.ASLEEP),
    green(S.FAILED, deployment="d", answered="d"),
    green(S.DRAINING, retiring="ops", parking=True, closed_at=T0),
]


@pytest.mark.parametrize("it", AWAKE, ids=lambda it: it.state)
def test_it_is_awake_in_a_release_that_has_workers(it: Record) -> None:
    assert of_beat(it, 0) == [WakeBeat("green")]
    assert of_beat(it, 1) == []


@pytest.mark.parametrize("it", AT_REST, ids=lambda it: it.state)
def test_it_sleeps_with_the_workers(it: Record) -> None:
    assert of_beat(it, 1) == [ASLEEP]
    assert of_beat(it, 0) == []


def test_one_that_failed_before_it_could_be_answered_is_left_as_it_is() -> None:
    assert of_beat(green(S.FAILED), 0) == of_beat(green(S.FAILED), 1) == []


@pytest.mark.parametrize("wanted", [0, 1])
def test_nothing_is_done_about_one_whose_stack_or_services_are_not_seen(wanted: int) -> None:
    for it in (*AWAKE, *AT_REST):
        assert of_beat(it, wanted, manifests=None) == []
        assert of_beat(it, wanted, manifests={"blue": BLUE.manifest}) == []
        assert not [a for a in plan(look(it, beats=None), Memory()).actions if isinstance(a, WakeBeat)]
