"""The team's own checks in the gate: what is seen of them, and what comes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from taskfleet.releases.actions import Move, PassGate, SendCheck
from taskfleet.releases.model import State
from taskfleet.releases.observation import Check, Memory, Observation, Verdict
from taskfleet.releases.plan import plan

from tests.taskfleet.releases.factory import T0, manifest, proofs, record, seen

S = State
QUEUES = ("high", "low", "etl")
PROVEN = {**proofs("green", *QUEUES), **proofs("green", *QUEUES, broker="fallback")}
GATING = record(state=S.GATING)
NOW = f"{T0:.3f}"
DATABASE, SEARCH = Check("shop.database", "low", 60), Check("shop.search", "", 30)
SEND = SendCheck("green", "low", "shop.database", NOW, 60)
KEY = SEND.key


def _seen(*checks: Check, now: float = T0 + 10, **verdicts: Verdict) -> Observation:
    known = {
        KEY if name == "database" else f"gate#check#green#shop.{name}": v for name, v in verdicts.items()
    }
    return seen(GATING, proofs=PROVEN, checks={"green": checks}, verdicts=known, now=now)


def _failed(reason: str) -> Move:
    return Move("green", S.FAILED, f"its gate shop.database {reason}")


GOOD = Verdict(NOW, begun=T0 + 2, ended=T0 + 5)
CASES = {
    "nobody has begun it: it is sent": (_seen(DATABASE), [SEND]),
    "it runs: waited for": (_seen(DATABASE, database=replace(GOOD, ended=None)), []),
    "it has ended well: passed, and the record says how long it took": (
        _seen(DATABASE, database=GOOD),
        [PassGate("green", (("primary", 1.0), ("fallback", 1.0), ("shop.database", 5.0)))],
    ),
    "one of two has": (
        _seen(DATABASE, SEARCH, database=GOOD),
        [SendCheck("green", "high", "shop.search", NOW, 30)],
    ),
    "it failed: at once, with its reason": (
        _seen(DATABASE, SEARCH, database=replace(GOOD, failure="OperationalError: no such table: orders")),
        [_failed("failed: OperationalError: no such table: orders")],
    ),
    "it was of an earlier deployment: it is run again": (
        _seen(DATABASE, database=replace(GOOD, registered="1.000", failure="x")),
        [SEND],
    ),
    "it does not end: its worker may still say why": (
        _seen(DATABASE, now=T0 + 91, database=replace(GOOD, ended=None)),
        [],
    ),
    "… then it has failed": (
        _seen(DATABASE, now=T0 + 93, database=replace(GOOD, ended=None)),
        [_failed("ran for longer than its 60 s")],
    ),
    "a pool that the release does not have": (
        _seen(replace(DATABASE, pool="big")),
        [_failed("names the pool 'big', and the release has high, low")],
    ),
}


@pytest.mark.parametrize(("look", "actions"), CASES.values(), ids=CASES.keys())
def test_what_is_seen_of_a_check_decides(look: Observation, actions: list[object]) -> None:
    assert list(plan(look, Memory()).actions) == actions


def test_it_is_run_in_the_default_queue_of_its_pool() -> None:
    made = replace(GATING, manifest=manifest(default_queue="etl"))
    for check in (DATABASE, SEARCH):
        look = seen(made, proofs=PROVEN, checks={"green": (check,)})
        (action,) = plan(look, Memory()).actions
        assert isinstance(action, SendCheck)
        assert action.queue == "etl"


def test_one_that_nobody_begins_ends_the_gate_in_time_and_is_named() -> None:
    look = _seen(DATABASE, now=T0 + 901)
    (failed,) = plan(look, Memory(gates_sent={KEY: T0 + 800})).actions
    assert failed == Move("green", S.FAILED, "within 900 s there was no proof from its gate shop.database")


def test_a_release_that_failed_its_check_stays_failed() -> None:
    failed = record(state=S.FAILED)
    verdicts = {KEY: replace(GOOD, failure="KeyError: 'x'")}
    look = seen(failed, proofs=PROVEN, checks={"green": (DATABASE,)}, verdicts=verdicts)
    assert plan(look, Memory()).actions == ()
