"""The states of a release and the moves between them."""

from __future__ import annotations

import pytest
from taskfleet.errors import ReleaseError
from taskfleet.releases.model import HISTORY_KEPT, MOVES, State

from tests.taskfleet.releases.factory import T0, record


@pytest.mark.parametrize("start", State)
@pytest.mark.parametrize("to", State)
def test_a_move_is_legal_or_refused_with_what_is_allowed(start: State, to: State) -> None:
    before = record(state=start)
    if to in MOVES[start]:
        after = before.moved(to, at=T0 + 5, actor="me", reason="because")
        assert (after.state, after.since, after.version) == (to, T0 + 5, before.version + 1)
        last = after.history[-1]
        assert (last.actor, last.reason, last.before, last.after) == ("me", "because", start, to)
    else:
        with pytest.raises(ReleaseError, match=f"green is {start} and can't become {to}"):
            before.moved(to, at=T0, actor="me", reason="because")


def test_from_every_state_a_release_can_be_retired_in_the_end() -> None:
    def reachable(state: State, been: frozenset[State] = frozenset()) -> set[State]:
        onward = [to for to in MOVES[state] if to not in been]
        return set(onward).union(*(reachable(to, been | set(onward)) for to in onward))

    assert [state for state in State if State.RETIRED not in reachable(state)] == []


def test_deployed_again_a_release_must_prove_itself_again() -> None:
    retired = record(state=State.DRAINED, retiring="me").moved(
        State.RETIRED, at=T0, actor="me", reason="done"
    )
    again = retired.moved(State.REGISTERED, at=T0 + 9, actor="controller", reason="deployed again")
    assert again.gate_passed_at is None
    assert again.retiring is None
    assert not again.ready


def test_history_stays_within_what_an_item_can_hold() -> None:
    it = record(state=State.DRAINING)
    for n in range(HISTORY_KEPT):
        it = it.moved(State.DRAINED, at=T0 + n, actor="c", reason="empty")
        it = it.moved(State.DRAINING, at=T0 + n, actor="c", reason="work turned up")
    assert len(it.history) == HISTORY_KEPT
