"""What operators may ask for, and what they are told when they may not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from taskfleet.contract.manifest import Canary
from taskfleet.contract.split import Split
from taskfleet.errors import ReleaseError
from taskfleet.releases import commands
from taskfleet.releases.model import Pointer, Record, State
from taskfleet.releases.observation import RemainingWork

from tests.taskfleet.releases.factory import EMPTY, T0, manifest, record

S = State
BLUE = record("blue", S.CURRENT)
POINTER = Pointer("blue", 4)


def promote(green: Record) -> commands.Promotion | None:
    records = {"blue": BLUE, green.release: green}
    return commands.promote(records, POINTER, green.release, at=T0 + 9, actor="ops", reason="friday")


@pytest.mark.parametrize(
    "green",
    [record(state=S.GATING, gate_passed_at=T0), record(state=S.DRAINING), record(state=S.DRAINED)],
    ids=lambda r: str(r.state),
)
def test_a_ready_or_warm_release_takes_over_and_the_old_one_drains(green: Record) -> None:
    promotion = promote(green)
    assert promotion is not None
    assert promotion.pointer == Pointer("green", 5, T0 + 9, "ops", "friday")
    assert promotion.green.state is S.CURRENT
    assert promotion.blue is not None
    assert promotion.blue.state is S.DRAINING
    assert len(promotion.steps) == 2


def test_promoting_what_is_current_changes_nothing() -> None:
    assert promote(BLUE) is None


@pytest.mark.parametrize(
    ("green", "why"),
    [
        (record(), "its gate has not passed yet"),
        (record(state=S.GATING), "its gate has not passed yet"),
        (record(state=S.FAILED), r"it failed \(for the test\)"),
        (record(state=S.RETIRED), "it is retired"),
        (record(state=S.DRAINED, retiring="ops"), "ops asked for its stack to be deleted"),
    ],
    ids=lambda v: str(v.state) if isinstance(v, Record) else None,
)
def test_a_release_that_is_not_ready_is_refused_with_the_reason(green: Record, why: str) -> None:
    with pytest.raises(ReleaseError, match=why):
        promote(green)


def test_an_unknown_release_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ReleaseError, match="no release 'gren'; known: blue"):
        commands.find({"blue": BLUE}, "gren")


def test_rollback_goes_to_the_warm_release_that_was_current_last() -> None:
    older, newer = record("older", S.DRAINED, at=T0), record("newer", S.DRAINING, at=T0 + 5)
    never = record("never", S.GATING, at=T0 + 9, gate_passed_at=T0 + 9)
    assert commands.before({r.release: r for r in (older, newer, never, BLUE)}, POINTER) is newer


def test_rollback_is_refused_when_nothing_is_warm() -> None:
    with pytest.raises(ReleaseError, match="no release to go back to"):
        commands.before({"blue": BLUE, "old": record("old", S.DRAINED, retiring="ops")}, POINTER)


@pytest.mark.parametrize("state", [S.REGISTERED, S.GATING, S.FAILED, S.DRAINED])
def test_a_release_without_work_may_be_retired(state: State) -> None:
    marked = commands.retire({"green": record(state=state)}, POINTER, "green", left=EMPTY, actor="ops")
    assert marked is not None
    assert (marked.retiring, marked.version) == ("ops", record(state=state).version + 1)


def test_retiring_what_is_retired_changes_nothing() -> None:
    gone = record(state=S.RETIRED)
    assert commands.retire({"green": gone}, POINTER, "green", left=None, actor="ops") is None


@pytest.mark.parametrize(
    ("it", "left", "why"),
    [
        (record("blue", S.CURRENT), EMPTY, "is current: promote another release first"),
        (
            record(state=S.DRAINING),
            RemainingWork(3, 0, 2, 1, 0),
            "3 waiting, 0 scheduled, 2 unacknowledged, 1 on the fallback, 0 parked",
        ),
        (record(state=S.DRAINING), RemainingWork(3, 0, None, 1, 0), "what is left is not known"),
        (record(state=S.DRAINING), EMPTY, "it takes several in a row"),
        (record(state=S.DRAINED), None, "what is left is not known"),
        (record(state=S.DRAINED), RemainingWork(0, 0, 1, 0, 0), "1 unacknowledged"),
    ],
)
def test_a_release_with_work_or_unknown_work_is_not_retired(
    it: Record, left: RemainingWork | None, why: str
) -> None:
    with pytest.raises(ReleaseError, match=why):
        commands.retire({it.release: it}, POINTER, it.release, left=left, actor="ops")


CANARY = Canary(share=0.05, seconds=600)
READY = record(state=S.GATING, gate_passed_at=T0, manifest=manifest(canary=CANARY, bake_seconds=60))
BY = {"at": T0 + 9, "actor": "ops", "reason": "friday"}


def test_a_canary_moves_no_pointer_and_tells_who_made_it_current() -> None:
    since = replace(POINTER, at=T0 - 50, actor="me", reason="before")
    begun = commands.start_canary({"blue": BLUE, "green": READY}, since, "green", **BY)
    assert begun.pointer == replace(since, version=5, split=Split("green", "blue", 0.05))
    assert (begun.green.state, begun.blue) == (S.CANARY, None)
    ended = commands.end_canary({"blue": BLUE, "green": begun.green}, begun.pointer, **BY, rejected=True)
    assert ended is not None
    assert ended.pointer == replace(since, version=6)
    assert (ended.green.state, ended.green.rejected) == (S.DRAINING, "friday")
    assert commands.end_canary({"blue": BLUE, "green": ended.green}, ended.pointer, **BY) is None


def test_one_canary_at_a_time() -> None:
    other = record("other", S.CANARY)
    told = replace(POINTER, split=Split("other", "blue", 0.05))
    with pytest.raises(ReleaseError, match=r"other is in its canary.*fleet release rollback --yes"):
        commands.start_canary({"blue": BLUE, "green": READY, "other": other}, told, "green", **BY)


def test_one_that_becomes_current_for_the_first_time_bakes_and_knows_where_to_go_back_to() -> None:
    made = promote(READY)
    assert made is not None
    assert made.green.goes_back_to == "blue"
    back = commands.promote({"blue": made.blue, "green": made.green}, made.pointer, "blue", **BY)  # type: ignore[dict-item]
    assert back is not None
    assert back.green.goes_back_to is None, "a rollback does not bake"
    assert back.blue is not None
    assert back.blue.goes_back_to is None


def test_a_bake_that_fails_says_so_in_the_record_of_the_release_that_is_left() -> None:
    made = promote(READY)
    assert made is not None
    records = {"blue": made.blue, "green": made.green}
    left = commands.roll_back(records, made.pointer, "blue", **BY)  # type: ignore[arg-type]
    assert left is not None
    assert (left.pointer.release, left.green.state) == ("blue", S.CURRENT)
    assert left.blue is not None
    assert (left.blue.state, left.blue.rejected) == (S.DRAINING, "friday")


def test_a_person_may_promote_what_was_rejected() -> None:
    made = promote(record(state=S.DRAINED, rejected="it failed its canary"))
    assert made is not None
    assert made.green.rejected is None
