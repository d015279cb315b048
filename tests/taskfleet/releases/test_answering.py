"""What a deploy is told, and what becomes current by itself, as tables."""

from __future__ import annotations

from dataclasses import replace

import pytest
from taskfleet.contract.limits import ANSWER_WITHIN_SECONDS
from taskfleet.contract.manifest import AUTOMATIC
from taskfleet.errors import ReleaseError
from taskfleet.releases import commands
from taskfleet.releases.actions import Answer, Await, Close, Move, Promote, SendGate
from taskfleet.releases.model import Pointer, Record, State
from taskfleet.releases.observation import Deployment, Memory, Observation
from taskfleet.releases.plan import plan

from tests.taskfleet.releases.factory import T0, manifest, record, seen

S = State
WAITS = Deployment("https://signed.invalid/1", T0)
ID = WAITS.id
DEPLOYING = {"deployments": {"green": WAITS}}
AUTO = manifest(promotion=AUTOMATIC)
BLUE = record("blue", S.CURRENT, at=T0 - 100, answered="b", deployment="b")


def _green(state: State = S.GATING, **changes: object) -> Record:
    return record(state=state, **{"deployment": ID, "manifest": AUTO, **changes})  # type: ignore[arg-type]


def _answer(success: bool, reason: str, url: str | None = WAITS.url) -> Answer:
    return Answer("green", ID, url, success, reason)


PASSED = _green(gate_passed_at=T0 + 5)
ANSWERED = replace(PASSED, answered=ID)
LATE = {"now": T0 + ANSWER_WITHIN_SECONDS}
OTHER = {"manifests": {"green": manifest(image="sha256:other"), "blue": BLUE.manifest}}

CASES = {
    "a deployment that turns up is noted": (
        seen(_green(deployment=""), BLUE, **DEPLOYING),
        [
            Await("green", ID),
            *(
                SendGate("green", queue, broker)
                for broker in ("primary", "fallback")
                for queue in ("high", "low", "etl")
            ),
        ],
    ),
    "the gate has passed: the deploy ends well, and nothing is promoted before": (
        seen(PASSED, BLUE, **DEPLOYING),
        [_answer(True, "the gate of release green has passed: it becomes current")],
    ),
    "answered: it becomes current": (
        seen(ANSWERED, BLUE, **DEPLOYING),
        [Promote("green", "its gate has passed")],
    ),
    "the first release of an environment as well": (
        seen(ANSWERED, **DEPLOYING),
        [Promote("green", "the first release of the environment")],
    ),
    "… and not before it is answered": (
        seen(PASSED, **DEPLOYING),
        [_answer(True, "the gate of release green has passed: it becomes current")],
    ),
    "deployments unknown: nothing is promoted": (seen(ANSWERED, BLUE, deployments=None), []),
    "a stack of an earlier version, where nothing waits": (
        seen(record(state=S.GATING, gate_passed_at=T0, manifest=AUTO), BLUE),
        [Promote("green", "its gate has passed")],
    ),
    "promoted by hand: the deploy ends well, and it waits": (
        seen(replace(PASSED, manifest=manifest()), BLUE, **DEPLOYING),
        [
            _answer(
                True,
                "the gate of release green has passed: `fleet release promote green --yes` makes it current",
            )
        ],
    ),
    "… until somebody promotes it": (seen(replace(ANSWERED, manifest=manifest()), BLUE, **DEPLOYING), []),
    "a failed gate fails the deploy": (
        seen(_green(S.FAILED), BLUE, **DEPLOYING),
        [_answer(False, "release green failed: for the test")],
    ),
    "answered once; from then on nothing is published to it": (
        seen(replace(_green(S.FAILED), answered=ID), BLUE, **DEPLOYING),
        [Close("green")],
    ),
    "a failed one that is deployed again is gated again": (
        seen(replace(_green(S.FAILED), answered="old", deployment="old"), BLUE, **DEPLOYING),
        [Await("green", ID), Move("green", S.REGISTERED, "its stack was deployed again")],
    ),
    "an id that is taken": (
        seen(
            replace(_green(S.RETIRED), retiring=None),
            BLUE,
            **DEPLOYING,
            manifests=OTHER["manifests"],
        ),
        [
            _answer(
                False,
                "release id green is taken by the image sha256:green and was deployed again with "
                "sha256:other: an id is never reused; deploy the new image under its own id",
            )
        ],
    ),
    "overtaken by a release that was deployed later": (
        seen(PASSED, replace(BLUE, history=record("blue", S.CURRENT, at=T0 + 1).history), **DEPLOYING),
        [_answer(False, "release blue became current meanwhile, so release green does not")],
    ),
    "not current again after somebody went back": (
        seen(
            ANSWERED,
            record("blue", S.DRAINING, at=T0 - 100).moved(S.CURRENT, at=T0 + 6, actor="ops", reason="bad"),
            pointer=Pointer("blue", 3, at=T0 + 6),
            **DEPLOYING,
        ),
        [],
    ),
    "too late: CloudFormation has given up or is about to": (
        seen(PASSED, BLUE, **DEPLOYING, **LATE),
        [Move("green", S.FAILED, "its deploy ended before its gate had passed")],
    ),
    "too late and failed: nobody is told": (
        seen(_green(S.FAILED), BLUE, **DEPLOYING, **LATE),
        [_answer(False, "nobody waits for it any more", None)],
    ),
}


@pytest.mark.parametrize(("look", "actions"), CASES.values(), ids=CASES.keys())
def test_what_is_seen_decides_what_a_deploy_is_told(look: Observation, actions: list[object]) -> None:
    assert list(plan(look, Memory()).actions) == actions


def test_of_two_that_may_the_newest_becomes_current() -> None:
    later = record("later", S.GATING, at=T0 + 3, gate_passed_at=T0 + 5, manifest=manifest("later"))
    later = replace(later, manifest=manifest("later", promotion=AUTOMATIC))
    look = seen(replace(ANSWERED, deployment="", answered=""), later, BLUE)
    assert list(plan(look, Memory()).actions) == [Promote("later", "its gate has passed")]


def test_a_release_whose_deploy_has_not_ended_is_not_promoted_by_hand() -> None:
    with pytest.raises(ReleaseError, match="its deploy has not ended"):
        commands.promote(
            {"green": PASSED, "blue": BLUE}, Pointer("blue", 1), "green", at=T0, actor="ops", reason="now"
        )


def test_who_waits_is_kept_by_an_id_that_nobody_can_answer_with() -> None:
    assert WAITS.url not in repr(Await("green", WAITS.id))
    assert Deployment(WAITS.url + "x", T0).id != WAITS.id
