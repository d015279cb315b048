"""What a release waits for, when that ends, and when there is nothing more to watch."""

from __future__ import annotations

from dataclasses import replace

import pytest
from taskfleet.contract.manifest import AUTOMATIC, MANUAL, BeforeGate, Canary
from taskfleet.releases.model import Before, Pointer, Record, State
from taskfleet.releases.observation import UNKNOWN_WORK, Check, RemainingWork
from taskfleet.releases.progress import End, Progress, progress

from tests.taskfleet.releases.factory import EMPTY, T0, manifest, proofs, record, seen

S = State
QUEUES = ("high", "low", "etl")
MIGRATE = BeforeGate(("python", "manage.py", "migrate"), "low", 300)
WORK = RemainingWork(waiting=3, scheduled=1, unacknowledged=2, fallback=0, parked=0)


def _of(
    it: Record, left: RemainingWork | None = EMPTY, producers: int | None = 0, **observed: object
) -> Progress:
    return progress(it, seen(it, **observed), left=left, producers=producers, empty_looks=2)


def _with(state: State, **settings: object) -> Record:
    return record(state=state, manifest=manifest("green", **settings))


def test_a_gate_names_each_queue_and_check_that_has_not_answered() -> None:
    found = _of(
        record(state=S.GATING),
        proofs={**proofs("green", *QUEUES), **proofs("green", "low", broker="fallback")},
        checks={"green": (Check("shop.database", "low", 60),)},
    )
    assert found.waits_for == (
        "a task on high (fallback)",
        "a task on etl (fallback)",
        "its check shop.database",
    )
    # Where a broker takes no gate task, it has twice the time.
    assert (found.until, found.end) == (T0 + 1800, None)


def test_a_gate_whose_tasks_have_all_run_waits_for_workers() -> None:
    proven = {**proofs("green", *QUEUES), **proofs("green", *QUEUES, broker="fallback")}
    assert _of(record(state=S.GATING), proofs=proven).waits_for == ("a running worker in each pool",)


def test_a_gate_waits_for_the_releases_beat() -> None:
    proven = {**proofs("green", *QUEUES), **proofs("green", *QUEUES, broker="fallback")}
    waits = _of(_with(S.GATING, beat=True), proofs=proven)
    assert waits.waits_for == ("its beat to tick",)


def test_a_command_before_the_gate_is_named_and_has_its_end() -> None:
    waits = replace(_with(S.REGISTERED, before_gate=MIGRATE), before=Before("arn:of:task", T0 + 5))
    found = _of(waits)
    assert found.waits_for == ("its command before the gate (python manage.py migrate)",)
    assert found.until == T0 + 305


@pytest.mark.parametrize(
    ("promotion", "waits_for", "end"),
    [
        (AUTOMATIC, "the controller's next look", None),
        (MANUAL, "`fleet release promote green --yes`", End.WELL),
    ],
)
def test_one_that_has_passed_becomes_current_or_waits_for_a_person(
    promotion: str, waits_for: str, end: End | None
) -> None:
    found = _of(replace(_with(S.GATING, promotion=promotion), gate_passed_at=T0 + 20))
    assert (found.waits_for, found.end) == ((waits_for,), end)


@pytest.mark.parametrize(
    ("left", "producers", "waits_for"),
    [
        (
            WORK,
            2,
            (
                f"its work: {WORK}",
                "2 producers that may still publish to it (`fleet producers list`)",
            ),
        ),
        (
            UNKNOWN_WORK,
            None,
            ("what is left in it, which is not known", "its producers, which are not known"),
        ),
        (EMPTY, 0, ("looks that find nothing in a row: 2 of 7",)),
    ],
    ids=["work and producers", "not known", "empty"],
)
def test_a_drain_says_what_holds_it(
    left: RemainingWork, producers: int | None, waits_for: tuple[str, ...]
) -> None:
    found = _of(record(state=S.DRAINING), left, producers)
    assert found.waits_for == waits_for
    assert (found.until, found.end) == (T0 + 3600, None)


def test_what_rests_says_what_comes_next_and_when() -> None:
    settings = {"warm_seconds": 60, "delete_after_seconds": 600, "keep_failed_seconds": 30}
    drained = _of(_with(S.DRAINED, **settings))
    assert (drained.then, drained.until, drained.end) == ("its workers sleep", T0 + 60, End.WELL)
    asleep = _of(_with(S.ASLEEP, **settings))
    assert (asleep.then, asleep.until, asleep.end) == ("its stack is deleted", T0 + 600, End.WELL)
    failed = _of(replace(_with(S.FAILED, **settings), deployment="a", answered="a"))
    assert (failed.until, failed.end) == (T0 + 30, End.FAILED)
    paused = _of(replace(_with(S.DRAINED, **settings), paused="me"))
    assert (paused.then, paused.until) == ("", None)


def test_what_is_to_be_deleted_goes_on_until_it_is() -> None:
    it = replace(record(state=S.DRAINED), retiring="me", closed_at=T0 + 9)
    assert _of(it).end is None
    assert _of(it).then == "its stack is deleted"
    assert _of(record(state=S.RETIRED)).end is End.WELL


@pytest.mark.parametrize("state", list(S))
def test_each_state_either_ends_the_watch_or_says_what_it_waits_for(state: State) -> None:
    found = _of(record(state=state))
    assert found.end is not None or (found.waits_for and found.then)


def test_one_that_was_overtaken_waits_for_a_person() -> None:
    """The release that became current meanwhile was deployed later."""
    passed = replace(_with(S.GATING, promotion=AUTOMATIC), gate_passed_at=T0 + 20)
    later = record("later", S.CURRENT, at=T0 + 10)
    observed = seen(passed, later, pointer=Pointer("later", 2, at=T0 + 30))
    found = progress(passed, observed, left=EMPTY, producers=0, empty_looks=0)
    assert (found.waits_for, found.end) == (("`fleet release promote green --yes`",), End.WELL)


JUDGED = "34 runs, 1 of them bad"
CANARY = Canary(seconds=600, runs=50)


def test_a_canary_says_how_it_does_and_until_when() -> None:
    blue, it = record("blue", S.CURRENT), _with(S.CANARY, canary=CANARY)

    def at(seconds: float, judged: str = JUDGED) -> Progress:
        look = seen(it, blue, now=T0 + seconds)
        return progress(it, look, left=EMPTY, producers=0, empty_looks=0, judged=judged)

    found = at(10)
    assert found.waits_for == (f"the rest of its canary: {JUDGED}",)
    assert (found.until, found.end) == (T0 + 600, None)
    assert at(10, "").waits_for == ("the rest of its canary: how its tasks do is not known yet",)
    late = at(700)
    assert late.waits_for == (f"more runs than that, 50 are wanted: {JUDGED}",)
    assert late.until == T0 + 1200


def test_a_bake_says_which_alarms_ring_and_until_when() -> None:
    it = replace(_with(S.CURRENT, bake_seconds=300), goes_back_to="blue")
    found = progress(it, seen(it), left=EMPTY, producers=0, empty_looks=0, judged="none rings")
    assert found.waits_for == ("the rest of its bake: none rings",)
    assert found.then == "it stays current, or release blue is current again if its alarms ring"
    assert (found.until, found.end) == (T0 + 300, None)
    assert progress(it, seen(it, now=T0 + 301), left=EMPTY, producers=0, empty_looks=0).until == T0 + 600


@pytest.mark.parametrize("state", [S.DRAINING, S.DRAINED, S.ASLEEP])
def test_one_that_was_rejected_has_failed(state: State) -> None:
    assert _of(record(state=state, rejected="it failed its canary")).end is End.FAILED


@pytest.mark.parametrize(("state", "back"), [(S.CANARY, None), (S.CURRENT, "blue")])
def test_a_paused_one_waits_for_a_person(state: State, back: str | None) -> None:
    found = _of(replace(_with(state, canary=CANARY, bake_seconds=9), paused="ops", goes_back_to=back))
    assert (found.waits_for, found.end) == (("`fleet release resume` (ops paused it)",), End.WELL)


def test_what_has_passed_its_gate_says_what_it_waits_for_to_begin() -> None:
    ready = replace(_with(S.GATING, promotion=AUTOMATIC, canary=CANARY), gate_passed_at=T0)
    blue = record("blue", S.CURRENT, at=T0 - 9)
    assert progress(ready, seen(ready, blue), left=EMPTY, producers=0, empty_looks=0).then == (
        "its canary begins"
    )
    bakes = replace(blue, goes_back_to="older")
    found = progress(ready, seen(ready, bakes), left=EMPTY, producers=0, empty_looks=0)
    assert found.waits_for == ("the end of the bake of release blue",)
