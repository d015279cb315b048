"""The plan's whole table: each state of a release and each thing that a look may see of it → what is done."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from taskfleet.releases.actions import Move
from taskfleet.releases.model import Pointer, Record, State, unmade
from taskfleet.releases.observation import Begun, Left, Memory, Observation
from taskfleet.releases.plan import plan

from tests.taskfleet.releases.factory import EMPTY, T0, manifest, record, seen

S = State
MANIFEST = manifest(
    warm_seconds=3600, delete_after_seconds=86_400, keep_failed_seconds=86_400, max_live_releases=3
)
BLUE = record("blue", S.CURRENT, at=T0 - 9)
WORK, UNKNOWN = Left(3, 0, 0, 0, 0), Left(0, 0, None, 0, 0)
SERVICES = ("low-green", "low-green-fallback")
LATE = {"now": T0 + 10 * 86_400}
MEMORY = Memory(zeros={"green": 6}, gates_sent={})
BLIND = {
    "manifests": None,
    "running": None,
    "published": None,
    "deployments": None,
    "left": {},
    "awake": None,
}
GONE = {"manifests": {"blue": BLUE.manifest}, "awake": {}}

UNMADE = {
    "manifests": {"blue": BLUE.manifest},
    "begun": {"green": Begun(MANIFEST, "CREATE_FAILED: no room")},
}

OBSERVATIONS = {
    "well": {},
    "nothing answers": BLIND,
    "work is left": {"left": {"green": WORK}},
    "what is left is unknown": {"left": {"green": UNKNOWN}},
    "its stack is gone, empty": GONE,
    "its stack is gone, with work": {**GONE, "left": {"green": WORK}},
    "its stack is gone, unknown": {**GONE, "left": {"green": UNKNOWN}},
    "its stack is being made or deleted": {**GONE, "begun": {"green": Begun(MANIFEST)}},
    "its stack could not be made": {**UNMADE},
    "its stack could not be made, unknown": {**UNMADE, "left": {"green": UNKNOWN}},
    "its stack could not be made, ten days later": {**UNMADE, **LATE},
    "its manifest is gone, CloudFormation is silent": {**GONE, "begun": None},
    "the pointer names it": {"pointer": Pointer("green", 9), "published": "green"},
    "another image": {"manifests": {"green": manifest(image="sha256:x"), "blue": BLUE.manifest}},
    "ten days later": LATE,
    "ten days later, nothing answers": {**LATE, **BLIND},
    "ten days later, work is left": {**LATE, "left": {"green": WORK}},
    "ten days later, unknown": {**LATE, "left": {"green": UNKNOWN}},
}


def _record(state: State, **changes: object) -> Record:
    made = record(state=state, manifest=MANIFEST, deployment="d", answered="d")
    return replace(made, **changes)  # type: ignore[arg-type]


RELEASES = {
    **{str(state): _record(state) for state in State},
    "ready": _record(S.GATING, gate_passed_at=T0),
    "drained, paused": _record(S.DRAINED, paused="ops"),
    "asleep, paused": _record(S.ASLEEP, paused="ops"),
    "asleep, to be deleted": _record(S.ASLEEP, retiring="controller", closed_at=T0),
    "drained, to be deleted": _record(S.DRAINED, retiring="ops", closed_at=T0),
    "failed, to be deleted": _record(S.FAILED, retiring="controller", closed_at=T0),
    "never made": unmade(MANIFEST, at=T0, actor="controller", reason="no room"),
    "never made, to be deleted": replace(
        unmade(MANIFEST, at=T0, actor="controller", reason="no room"), retiring="controller", closed_at=T0
    ),
    "draining, to be parked": _record(S.DRAINING, retiring="ops", parking=True, closed_at=T0),
}


def _seen(release: Record, changes: dict[str, object]) -> Observation:
    base = replace(
        seen(release, BLUE),
        manifests={"green": MANIFEST, "blue": BLUE.manifest},
        left={"green": EMPTY, "blue": EMPTY},
        awake={"green": SERVICES},
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def _done(release: Record, changes: dict[str, object]) -> str:
    """The plan's actions for the release, in short."""
    planned = plan(_seen(release, changes), MEMORY)
    said = Counter(
        f"-> {action.to}" if isinstance(action, Move) else type(action).__name__
        for action in planned.actions
        if getattr(action, "release", "green") == "green"
    )
    return ", ".join(name if many == 1 else f"{many} {name}" for name, many in said.items()) or "-"


TABLE = {
    "registered": {
        "well": "-> gating",
        "nothing answers": "-> gating",
        "work is left": "-> gating",
        "what is left is unknown": "-> gating",
        "its stack is gone, empty": "Close, -> retired",
        "its stack is gone, with work": "Close",
        "its stack is gone, unknown": "Close",
        "its stack is being made or deleted": "Close, -> retired",
        "its stack could not be made": "Close, -> retired",
        "its stack could not be made, unknown": "Close",
        "its stack could not be made, ten days later": "Close, -> retired",
        "its manifest is gone, CloudFormation is silent": "Close, -> retired",
        "the pointer names it": "-> gating",
        "another image": "-> failed",
        "ten days later": "-> gating",
        "ten days later, nothing answers": "-> gating",
        "ten days later, work is left": "-> gating",
        "ten days later, unknown": "-> gating",
    },
    "gating": {
        "well": "6 SendGate",
        "nothing answers": "6 SendGate",
        "work is left": "6 SendGate",
        "what is left is unknown": "6 SendGate",
        "its stack is gone, empty": "Close, -> retired",
        "its stack is gone, with work": "Close",
        "its stack is gone, unknown": "Close",
        "its stack is being made or deleted": "Close, -> retired",
        "its stack could not be made": "Close, -> retired",
        "its stack could not be made, unknown": "Close",
        "its stack could not be made, ten days later": "Close, -> retired",
        "its manifest is gone, CloudFormation is silent": "Close, -> retired",
        "the pointer names it": "6 SendGate",
        "another image": "-> failed",
        "ten days later": "-> failed",
        "ten days later, nothing answers": "-> failed",
        "ten days later, work is left": "-> failed",
        "ten days later, unknown": "-> failed",
    },
    "current": {
        "well": "-",
        "nothing answers": "-",
        "work is left": "-",
        "what is left is unknown": "-",
        "its stack is gone, empty": "-",
        "its stack is gone, with work": "-",
        "its stack is gone, unknown": "-",
        "its stack is being made or deleted": "-",
        "its stack could not be made": "-",
        "its stack could not be made, unknown": "-",
        "its stack could not be made, ten days later": "-",
        "its manifest is gone, CloudFormation is silent": "-",
        "the pointer names it": "-",
        "another image": "-",
        "ten days later": "-",
        "ten days later, nothing answers": "-",
        "ten days later, work is left": "-",
        "ten days later, unknown": "-",
    },
    "draining": {
        "well": "-> drained",
        "nothing answers": "-",
        "work is left": "-",
        "what is left is unknown": "-",
        "its stack is gone, empty": "Close, -> drained",
        "its stack is gone, with work": "Close",
        "its stack is gone, unknown": "Close",
        "its stack is being made or deleted": "Close, -> drained",
        "its stack could not be made": "Close, -> drained",
        "its stack could not be made, unknown": "Close",
        "its stack could not be made, ten days later": "Close, -> drained",
        "its manifest is gone, CloudFormation is silent": "Close, -> drained",
        "the pointer names it": "-> current",
        "another image": "-> drained",
        "ten days later": "-> drained",
        "ten days later, nothing answers": "-",
        "ten days later, work is left": "-",
        "ten days later, unknown": "-",
    },
    "drained": {
        "well": "-",
        "nothing answers": "-",
        "work is left": "-> draining",
        "what is left is unknown": "-",
        "its stack is gone, empty": "Close, -> retired",
        "its stack is gone, with work": "Close, -> draining",
        "its stack is gone, unknown": "Close",
        "its stack is being made or deleted": "Close, -> retired",
        "its stack could not be made": "Close, -> retired",
        "its stack could not be made, unknown": "Close",
        "its stack could not be made, ten days later": "Close, -> retired",
        "its manifest is gone, CloudFormation is silent": "Close, -> retired",
        "the pointer names it": "-> current",
        "another image": "-",
        "ten days later": "-> asleep",
        "ten days later, nothing answers": "-",
        "ten days later, work is left": "-> draining",
        "ten days later, unknown": "-",
    },
    "retired": {
        "well": "-> registered",
        "nothing answers": "-",
        "work is left": "-> registered",
        "what is left is unknown": "-> registered",
        "its stack is gone, empty": "-",
        "its stack is gone, with work": "-",
        "its stack is gone, unknown": "-",
        "its stack is being made or deleted": "-",
        "its stack could not be made": "Unmade",
        "its stack could not be made, unknown": "Unmade",
        "its stack could not be made, ten days later": "Unmade",
        "its manifest is gone, CloudFormation is silent": "-",
        "the pointer names it": "-> registered",
        "another image": "-",
        "ten days later": "-> registered",
        "ten days later, nothing answers": "-",
        "ten days later, work is left": "-> registered",
        "ten days later, unknown": "-> registered",
    },
    "failed": {
        "well": "Close, Sleep",
        "nothing answers": "Close",
        "work is left": "Close, Sleep",
        "what is left is unknown": "Close, Sleep",
        "its stack is gone, empty": "Close, -> retired",
        "its stack is gone, with work": "Close",
        "its stack is gone, unknown": "Close",
        "its stack is being made or deleted": "Close",
        "its stack could not be made": "Close, Sleep",
        "its stack could not be made, unknown": "Close, Sleep",
        "its stack could not be made, ten days later": "Close, Retire, Sleep",
        "its manifest is gone, CloudFormation is silent": "Close",
        "the pointer names it": "-",
        "another image": "Close, Sleep",
        "ten days later": "Close, Retire, Sleep",
        "ten days later, nothing answers": "Close",
        "ten days later, work is left": "Close, Retire, Sleep",
        "ten days later, unknown": "Close, Retire, Sleep",
    },
    "asleep": {
        "well": "Sleep",
        "nothing answers": "-",
        "work is left": "-> draining",
        "what is left is unknown": "-",
        "its stack is gone, empty": "Close, -> retired",
        "its stack is gone, with work": "Close, -> draining",
        "its stack is gone, unknown": "Close",
        "its stack is being made or deleted": "Close, -> retired",
        "its stack could not be made": "Close, -> retired",
        "its stack could not be made, unknown": "Close",
        "its stack could not be made, ten days later": "Close, -> retired",
        "its manifest is gone, CloudFormation is silent": "Close, -> retired",
        "the pointer names it": "-> current",
        "another image": "Sleep",
        "ten days later": "Retire, Sleep",
        "ten days later, nothing answers": "-",
        "ten days later, work is left": "-> draining",
        "ten days later, unknown": "-",
    },
    "ready": {
        "well": "-",
        "nothing answers": "-",
        "work is left": "-",
        "what is left is unknown": "-",
        "its stack is gone, empty": "Close, -> retired",
        "its stack is gone, with work": "Close",
        "its stack is gone, unknown": "Close",
        "its stack is being made or deleted": "Close, -> retired",
        "its stack could not be made": "Close, -> retired",
        "its stack could not be made, unknown": "Close",
        "its stack could not be made, ten days later": "Close, -> retired",
        "its manifest is gone, CloudFormation is silent": "Close, -> retired",
        "the pointer names it": "-",
        "another image": "-> failed",
        "ten days later": "-",
        "ten days later, nothing answers": "-",
        "ten days later, work is left": "-",
        "ten days later, unknown": "-",
    },
    "drained, paused": {
        "well": "-",
        "nothing answers": "-",
        "work is left": "-> draining",
        "what is left is unknown": "-",
        "its stack is gone, empty": "Close, -> retired",
        "its stack is gone, with work": "Close, -> draining",
        "its stack is gone, unknown": "Close",
        "its stack is being made or deleted": "Close, -> retired",
        "its stack could not be made": "Close, -> retired",
        "its stack could not be made, unknown": "Close",
        "its stack could not be made, ten days later": "Close, -> retired",
        "its manifest is gone, CloudFormation is silent": "Close, -> retired",
        "the pointer names it": "-> current",
        "another image": "-",
        "ten days later": "-",
        "ten days later, nothing answers": "-",
        "ten days later, work is left": "-> draining",
        "ten days later, unknown": "-",
    },
    "asleep, paused": {
        "well": "Sleep",
        "nothing answers": "-",
        "work is left": "-> draining",
        "what is left is unknown": "-",
        "its stack is gone, empty": "Close, -> retired",
        "its stack is gone, with work": "Close, -> draining",
        "its stack is gone, unknown": "Close",
        "its stack is being made or deleted": "Close, -> retired",
        "its stack could not be made": "Close, -> retired",
        "its stack could not be made, unknown": "Close",
        "its stack could not be made, ten days later": "Close, -> retired",
        "its manifest is gone, CloudFormation is silent": "Close, -> retired",
        "the pointer names it": "-> current",
        "another image": "Sleep",
        "ten days later": "Sleep",
        "ten days later, nothing answers": "-",
        "ten days later, work is left": "-> draining",
        "ten days later, unknown": "-",
    },
    "asleep, to be deleted": {
        "well": "Close, Sleep",
        "nothing answers": "Close",
        "work is left": "Close, -> draining",
        "what is left is unknown": "Close",
        "its stack is gone, empty": "Close, -> retired",
        "its stack is gone, with work": "Close, -> draining",
        "its stack is gone, unknown": "Close",
        "its stack is being made or deleted": "Close, -> retired",
        "its stack could not be made": "Close, -> retired",
        "its stack could not be made, unknown": "Close",
        "its stack could not be made, ten days later": "Close, -> retired",
        "its manifest is gone, CloudFormation is silent": "Close, -> retired",
        "the pointer names it": "-> current",
        "another image": "Close, Sleep",
        "ten days later": "Close, Sleep, Delete",
        "ten days later, nothing answers": "Close",
        "ten days later, work is left": "Close, -> draining",
        "ten days later, unknown": "Close",
    },
    "drained, to be deleted": {
        "well": "Close",
        "nothing answers": "Close",
        "work is left": "Close, -> draining",
        "what is left is unknown": "Close",
        "its stack is gone, empty": "Close, -> retired",
        "its stack is gone, with work": "Close, -> draining",
        "its stack is gone, unknown": "Close",
        "its stack is being made or deleted": "Close, -> retired",
        "its stack could not be made": "Close, -> retired",
        "its stack could not be made, unknown": "Close",
        "its stack could not be made, ten days later": "Close, -> retired",
        "its manifest is gone, CloudFormation is silent": "Close, -> retired",
        "the pointer names it": "-> current",
        "another image": "Close",
        "ten days later": "Close, Delete",
        "ten days later, nothing answers": "Close",
        "ten days later, work is left": "Close, -> draining",
        "ten days later, unknown": "Close",
    },
    "failed, to be deleted": {
        "well": "Close, Sleep",
        "nothing answers": "Close",
        "work is left": "Close, Sleep",
        "what is left is unknown": "Close, Sleep",
        "its stack is gone, empty": "Close, -> retired",
        "its stack is gone, with work": "Close",
        "its stack is gone, unknown": "Close",
        "its stack is being made or deleted": "Close",
        "its stack could not be made": "Close, Sleep",
        "its stack could not be made, unknown": "Close, Sleep",
        "its stack could not be made, ten days later": "Close, Sleep, Delete",
        "its manifest is gone, CloudFormation is silent": "Close",
        "the pointer names it": "-",
        "another image": "Close, Sleep",
        "ten days later": "Close, Sleep, Delete",
        "ten days later, nothing answers": "Close",
        "ten days later, work is left": "Close, Sleep",
        "ten days later, unknown": "Close, Sleep",
    },
    "never made": {
        "well": "Register",
        "nothing answers": "Close",
        "work is left": "Register",
        "what is left is unknown": "Register",
        "its stack is gone, empty": "Close, -> retired",
        "its stack is gone, with work": "Close",
        "its stack is gone, unknown": "Close",
        "its stack is being made or deleted": "Close",
        "its stack could not be made": "Close, Sleep",
        "its stack could not be made, unknown": "Close, Sleep",
        "its stack could not be made, ten days later": "Close, Retire, Sleep",
        "its manifest is gone, CloudFormation is silent": "Close",
        "the pointer names it": "Register",
        "another image": "Register",
        "ten days later": "Register",
        "ten days later, nothing answers": "Close",
        "ten days later, work is left": "Register",
        "ten days later, unknown": "Register",
    },
    "never made, to be deleted": {
        "well": "Register",
        "nothing answers": "Close",
        "work is left": "Register",
        "what is left is unknown": "Register",
        "its stack is gone, empty": "Close, -> retired",
        "its stack is gone, with work": "Close",
        "its stack is gone, unknown": "Close",
        "its stack is being made or deleted": "Close",
        "its stack could not be made": "Close, Sleep",
        "its stack could not be made, unknown": "Close, Sleep",
        "its stack could not be made, ten days later": "Close, Sleep, Delete",
        "its manifest is gone, CloudFormation is silent": "Close",
        "the pointer names it": "Register",
        "another image": "Register",
        "ten days later": "Register",
        "ten days later, nothing answers": "Close",
        "ten days later, work is left": "Register",
        "ten days later, unknown": "Register",
    },
    "draining, to be parked": {
        "well": "Close, -> drained",
        "nothing answers": "Close",
        "work is left": "Close, Sleep, Park",
        "what is left is unknown": "Close, Sleep, Park",
        "its stack is gone, empty": "Close, -> drained",
        "its stack is gone, with work": "Close",
        "its stack is gone, unknown": "Close",
        "its stack is being made or deleted": "Close, -> drained",
        "its stack could not be made": "Close, -> drained",
        "its stack could not be made, unknown": "Close",
        "its stack could not be made, ten days later": "Close, -> drained",
        "its manifest is gone, CloudFormation is silent": "Close, -> drained",
        "the pointer names it": "-> current",
        "another image": "Close, -> drained",
        "ten days later": "Close, -> drained",
        "ten days later, nothing answers": "Close",
        "ten days later, work is left": "Close, Sleep, Park",
        "ten days later, unknown": "Close, Sleep, Park",
    },
}


@pytest.mark.parametrize("observation", OBSERVATIONS)
@pytest.mark.parametrize("release", RELEASES)
def test_each_state_and_each_observation(release: str, observation: str) -> None:
    assert _done(RELEASES[release], OBSERVATIONS[observation]) == TABLE[release][observation]


def test_the_table_is_whole() -> None:
    assert set(TABLE) == set(RELEASES) >= set(map(str, State))
    assert all(set(row) == set(OBSERVATIONS) for row in TABLE.values())


@pytest.mark.parametrize("release", RELEASES)
def test_nothing_is_taken_from_what_is_at_work_or_not_known_to_be_empty(release: str) -> None:
    """The table's own rule, read from it: whoever changes a row must keep to it."""
    for observation, done in TABLE[release].items():
        unsure = any(word in observation for word in ("unknown", "nothing answers", "work"))
        assert not (unsure and ("Delete" in done or "-> retired" in done or "-> drained" in done)), (
            observation
        )
        assert not (unsure and "Sleep" in done and release[:6] == "asleep"), observation
        if release in ("current", "ready", "registered", "gating"):
            assert "Sleep" not in done
            assert "Delete" not in done
