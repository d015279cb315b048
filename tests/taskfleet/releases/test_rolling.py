"""Builds that are deployed into one release, on the same queues."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from taskfleet.contract.names import ROLLING
from taskfleet.errors import ReleaseError
from taskfleet.releases import commands
from taskfleet.releases.actions import (
    Action,
    Answer,
    Await,
    FailGate,
    PassGate,
    Register,
    Renew,
    Roll,
    SendGate,
)
from taskfleet.releases.gating import wanted
from taskfleet.releases.items import from_record, plain, to_record, wire
from taskfleet.releases.model import Pointer, Record, State
from taskfleet.releases.observation import Deployment, Memory, Observation, Rules
from taskfleet.releases.plan import plan
from taskfleet.releases.progress import End, progress

from tests.taskfleet.releases.factory import T0, manifest, pool, record, seen

RULES = Rules()
OLD, NEW = (manifest(ROLLING, build=build, image=build) for build in ("s1", "s2"))
OLD_URL, NEW_URL = Deployment("https://old", T0, "s1"), Deployment("https://new", T0 + 100, "s2")


def current(**changes: Any) -> Record:
    """The release, its first build proven and its deploy answered."""
    answered = {"deployment": OLD_URL.id, "answered": OLD_URL.id, "kept": OLD_URL.id}
    return record(ROLLING, State.CURRENT, **{"manifest": OLD, "image": "s1", **answered, **changes})


def rolled(**changes: Any) -> Record:
    """With the second build, seen at T0 + 100."""
    made = current().rolled(NEW, at=T0 + 100, actor="controller")
    return replace(made, **{"deployment": NEW_URL.id, **changes})


def look(of: Record, **changes: Any) -> Observation:
    given = {"now": T0 + 110, "deployments": {ROLLING: NEW_URL}, "manifests": {ROLLING: NEW}, **changes}
    return seen(of, **given)


def actions(saw: Observation, memory: Memory = Memory()) -> list[Action]:  # noqa: B008 - frozen
    return [one for one in plan(saw, memory, RULES).actions if not isinstance(one, SendGate)]


def all_proofs(of: Record, at: float) -> dict[str, float]:
    return {gate.key: at for gate in wanted(of, RULES.gate_brokers)}


def test_another_build_of_the_current_release_is_gated_while_it_stays_current() -> None:
    before = current()
    assert actions(look(before)) == [Roll(NEW)]

    after = before.rolled(NEW, at=T0 + 100, actor="controller")
    assert (after.state, after.manifest, after.image) == (State.CURRENT, NEW, "s2")
    assert after.gate_passed_at is None
    assert after.registered_at == T0 + 100
    assert after.history[-1].reason == "build s2 was deployed"
    assert not commands.gone_back_to(after)


def test_its_deploy_is_not_answered_for_the_build_before() -> None:
    """The URL is there a moment before the manifest."""
    assert actions(look(current(), manifests={ROLLING: OLD})) == []


def test_its_gate_is_of_its_own_workers_and_then_its_deploy_is_answered() -> None:
    after = rolled(deployment=OLD_URL.id)
    assert Await(ROLLING, NEW_URL.id) in actions(look(after))

    after = rolled()
    sent = [one for one in plan(look(after), Memory(), RULES).actions if isinstance(one, SendGate)]
    assert {(one.queue, one.broker, one.build) for one in sent} == {
        (queue, broker, "s2") for queue in NEW.queues for broker in RULES.gate_brokers
    }
    of_old_workers = all_proofs(replace(after, manifest=OLD), T0 + 105)
    assert actions(look(after, proofs=of_old_workers)) == []
    (passed,) = actions(look(after, proofs=all_proofs(after, T0 + 105)))
    assert isinstance(passed, PassGate)

    proven = replace(after, gate_passed_at=T0 + 105)
    assert actions(look(proven)) == [
        Answer(ROLLING, NEW_URL.id, NEW_URL.url, True, f"release {ROLLING} is current")
    ]


def test_a_build_that_does_not_pass_fails_its_deploy_and_is_gone_back_from() -> None:
    after, late = rolled(), T0 + 100 + RULES.gate_deadline_seconds + 1
    memory = Memory(gates_sent={gate.key: T0 + 101 for gate in wanted(after, RULES.gate_brokers)})
    (failed,) = actions(look(after, now=late), memory)
    assert isinstance(failed, FailGate)
    assert "no proof from high (primary)" in failed.reason

    after = replace(after, gate_failed=failed.reason)
    (answer,) = actions(look(after, now=late))
    assert isinstance(answer, Answer)
    assert not answer.success
    assert "build s2 of release rolling has not passed its gate" in answer.reason
    assert any("runs without its gate passed" in one for one in plan(look(after), Memory(), RULES).problems)

    # CloudFormation puts the URL and the manifest of the build before in their places, one after the other.
    after = replace(after, answered=NEW_URL.id)
    again = replace(OLD_URL, since=late)
    assert actions(look(after, deployments={ROLLING: again})) == []
    back = {"manifests": {ROLLING: OLD}, "deployments": {ROLLING: again}}
    assert Roll(OLD) in actions(look(after, **back))
    after = after.rolled(OLD, at=late, actor="controller")
    assert after.gate_failed is None
    assert after.history[-1].reason.startswith(
        "build s1 was deployed; build s2 had not passed its gate: within"
    )
    assert Await(ROLLING, OLD_URL.id) in actions(look(after, now=late + 1, **back))
    # Nobody waits there any more, and it is known without asking.
    after = replace(after, deployment=OLD_URL.id)
    (noted,) = [one for one in actions(look(after, now=late + 1, **back)) if isinstance(one, Answer)]
    assert noted.url is None


@pytest.mark.parametrize("state", [State.FAILED, State.RETIRED, State.REGISTERED, State.GATING])
def test_another_build_begins_anew_where_none_is_current(state: State) -> None:
    before = record(ROLLING, state, manifest=OLD, image="s1")
    assert Roll(NEW) in actions(look(before, manifests={ROLLING: NEW}))
    assert before.rolled(NEW, at=T0, actor="controller").state is State.REGISTERED


@pytest.mark.parametrize("state", [State.DRAINING, State.DRAINED, State.ASLEEP])
def test_another_build_is_refused_where_another_release_is_current(state: State) -> None:
    before = record(ROLLING, state, manifest=OLD, image="s1", deployment=NEW_URL.id)
    planned = plan(look(before, pointer=Pointer("r2", 4), published="r2"), Memory(), RULES)
    (answer,) = [one for one in planned.actions if isinstance(one, Answer)]
    assert not answer.success
    assert "fleet release retire rolling --yes" in answer.reason
    assert not [one for one in planned.actions if isinstance(one, Roll)]


def test_a_build_without_a_queue_is_refused() -> None:
    less = replace(NEW, pools=(pool("high"), pool("low")))
    (answer,) = [
        one
        for one in actions(look(current(deployment=NEW_URL.id), manifests={ROLLING: less}))
        if isinstance(one, Answer)
    ]
    assert not answer.success
    assert "build s2 has no queues etl" in answer.reason


def test_the_same_build_with_other_numbers_is_no_new_one() -> None:
    wider = replace(OLD, pools=(pool("high", max_workers=9), *OLD.pools[1:]))
    saw = look(current(), manifests={ROLLING: wider}, deployments={ROLLING: OLD_URL})
    assert actions(saw) == [Renew(wider)]


def test_the_first_is_as_any_other() -> None:
    assert actions(seen(manifests={ROLLING: OLD}, deployments={ROLLING: OLD_URL})) == [Register(OLD)]


def test_rollback_says_to_deploy_the_build_before() -> None:
    with pytest.raises(ReleaseError, match="deploy the source of the build before"):
        commands.before({ROLLING: current()}, Pointer(ROLLING, 1))


def test_what_is_watched() -> None:
    def of(one: Record) -> Any:
        return progress(one, look(one), left=None, producers=None, empty_looks=0)

    gates = of(rolled())
    assert gates.end is None
    assert "a task on high (primary)" in gates.waits_for
    failed = of(rolled(gate_failed="no proof"))
    assert (failed.end, failed.reason) == (End.FAILED, "no proof")
    assert of(current()).end is End.WELL


def test_a_record_keeps_it() -> None:
    made = rolled(gate_failed="no proof")
    assert to_record(plain(wire(from_record(made)))) == made
