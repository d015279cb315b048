"""What is next in a rotation of a cache's password, from what the secret and the group say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from taskfleet.rotation import CURRENT, PENDING, ROTATED, CannotRotate, Seen, Step, next_step, steps_from

CHANGED = 1000.0  # when the secret was
OLD, NEW = "version-1", "version-2"
IDLE = {OLD: [CURRENT]}
WRITTEN = {OLD: [CURRENT], NEW: [PENDING]}
TAKEN = {OLD: [CURRENT], NEW: [PENDING, ROTATED]}
MOVED = {OLD: ["AWSPREVIOUS"], NEW: [CURRENT, PENDING, ROTATED]}
DONE = {OLD: ["AWSPREVIOUS"], NEW: [CURRENT]}
WORKING = {"group_status": "modifying", "token_status": "ROTATING"}
AHEAD = {"token_changed_at": CHANGED + 0.1}


def seen(labels: Mapping[str, Sequence[str]], **more: Any) -> Seen:
    given = {"group_status": "available", "token_status": None, "token_changed_at": CHANGED - 500}
    given |= {"secret_changed_at": CHANGED, "written_at": {OLD: CHANGED - 900, NEW: CHANGED - 1}}
    return Seen(labels=labels, **{**given, "now": CHANGED + 10, **more})


@pytest.mark.parametrize(
    ("labels", "more", "step"),
    [
        (IDLE, {}, Step.WRITE),
        (IDLE, {"token_changed_at": None}, Step.WRITE),
        (IDLE, AHEAD, Step.WRITE),  # the end of the rotation before
        (DONE, {}, Step.WRITE),
        # As AWS leaves the label behind where a rotation function is at its end.
        ({OLD: [CURRENT, PENDING]}, {}, Step.WRITE),
        (WRITTEN, {}, Step.ROTATE),
        (WRITTEN, WORKING, Step.WAIT),
        (WRITTEN, AHEAD, Step.NOTE),  # the run was interrupted just before it noted it
        (
            WRITTEN,
            {**AHEAD, "secret_changed_at": CHANGED + 5},
            Step.NOTE,
        ),  # … and then a deploy tagged the secret
        (WRITTEN, {"token_changed_at": None}, Step.ROTATE),
        (TAKEN, {}, Step.MOVE),
        # A broker that was restored meanwhile has the current password alone: a second rotation.
        (WRITTEN, {**AHEAD, "group_made_at": CHANGED}, Step.WRITE),
        (TAKEN, {**AHEAD, "group_made_at": CHANGED}, Step.WRITE),
        (MOVED, {"now": CHANGED + 60, **AHEAD, "group_made_at": CHANGED}, Step.FINISH),
        (TAKEN, {"group_made_at": CHANGED - 500}, Step.MOVE),
        (TAKEN, {"group_status": "snapshotting"}, Step.WAIT),
        (MOVED, {}, Step.FOLLOW),
        (MOVED, {"now": CHANGED + 60}, Step.SET),
        (MOVED, {"now": CHANGED + 60, **WORKING}, Step.WAIT),
        (MOVED, {"now": CHANGED + 60, **AHEAD}, Step.FINISH),
    ],
)
def test_each_state_has_one_next_step(
    labels: Mapping[str, Sequence[str]], more: Mapping[str, Any], step: Step
) -> None:
    assert next_step(seen(labels, **more), follow_seconds=60) is step


@pytest.mark.parametrize(
    ("labels", "more", "says"),
    [
        ({OLD: [PENDING]}, {}, "no current version"),
        (IDLE, {"group_status": "deleting"}, "'deleting'"),
        ({OLD: [ROTATED], NEW: [CURRENT]}, {}, "who wrote that must say which password holds"),
        ({OLD: [ROTATED], NEW: [CURRENT], "version-3": [PENDING]}, {}, "another version since"),
    ],
)
def test_what_somebody_else_did_is_not_gone_over(
    labels: Mapping[str, Sequence[str]], more: Mapping[str, Any], says: str
) -> None:
    with pytest.raises(CannotRotate, match=says):
        next_step(seen(labels, **more), follow_seconds=60)


def test_the_old_password_is_taken_away_last() -> None:
    steps = steps_from(Step.WRITE)

    assert (
        steps.index(Step.ROTATE) < steps.index(Step.MOVE) < steps.index(Step.FOLLOW) < steps.index(Step.SET)
    )
    assert steps_from(Step.SET) == [Step.SET, Step.FINISH]


@pytest.mark.parametrize(
    ("labels", "more", "ago"),
    [
        (DONE, {"token_changed_at": CHANGED, "now": CHANGED + 300}, 300),
        (DONE, {"token_changed_at": CHANGED, "now": CHANGED + 4000}, None),
        (DONE, {"token_changed_at": None}, None),
        (MOVED, {"token_changed_at": CHANGED, "now": CHANGED + 300}, None),  # not at its end
        (WRITTEN, {"token_changed_at": CHANGED, "now": CHANGED + 300}, None),
    ],
)
def test_a_rotation_that_has_just_ended_is_known(
    labels: Mapping[str, Sequence[str]], more: Mapping[str, Any], ago: float | None
) -> None:
    assert seen(labels, **more).just_rotated_seconds == ago
