"""Rotating the password of a cache, the primary broker's or the results': what is next, as can be seen. Pure.

ElastiCache has one password more after ROTATE, and only the new one after SET. Secrets Manager remembers how
far a rotation is, in the labels of the secret's versions: whoever runs it again goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from taskfleet.brokers.credentials import FOLLOWED_SECONDS
from taskfleet.errors import TaskfleetError

CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"
# Of the version whose password the broker takes beside another one: from ROTATE until after SET.
ROTATED = "TASKFLEET_ROTATED"

# What Secrets Manager needs until it answers everybody alike, and what a login may take that has begun.
FOLLOW_SECONDS = FOLLOWED_SECONDS + 30
# Whoever runs it again so soon after it has ended wants no second rotation: the first one's end was not seen.
RECENT_SECONDS = 3600.0

_AVAILABLE = "available"
_AT_WORK = frozenset({_AVAILABLE, "modifying", "snapshotting"})


class Step(StrEnum):
    """What is to be done next, in this order; `WAIT` comes between any two."""

    WRITE = "write"
    ROTATE = "rotate"
    NOTE = "note"
    MOVE = "move"
    FOLLOW = "follow"
    SET = "set"
    FINISH = "finish"
    WAIT = "wait"


class CannotRotate(TaskfleetError):
    """Somebody else works on the secret or on the broker."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The secret and the replication group. Times are seconds since the epoch.

    ``labels`` of each version by its id, and when each was ``written_at``; ``token_status`` is ROTATING or
    SETTING while ElastiCache works.
    """

    labels: Mapping[str, Sequence[str]]
    written_at: Mapping[str, float]
    secret_changed_at: float
    group_status: str
    token_status: str | None
    token_changed_at: float | None
    group_made_at: float | None = None
    now: float

    def version(self, label: str) -> str | None:
        """The one that has this label."""
        return next((version for version, labels in self.labels.items() if label in labels), None)

    @property
    def current(self) -> str:
        """Raises `CannotRotate` without one."""
        found = self.version(CURRENT)
        if found is None:
            raise CannotRotate("the secret has no current version: deploy the stack that it is in")
        return found

    @property
    def pending(self) -> str | None:
        """The version that is to become current."""
        found = self.version(PENDING)
        return None if found == self.current else found

    @property
    def working(self) -> bool:
        """Whether ElastiCache still changes the group."""
        return self.group_status != _AVAILABLE or self.token_status is not None

    @property
    def pending_is_taken(self) -> bool:
        """Whether the group was given the pending version's password: by a run that then stopped.

        A second ROTATE with it would take the current one away. So this goes by when that version was
        written, not by when the secret was changed, which a tag of a deploy or a label is, too.
        """
        written = self.written_at.get(self.pending or "")
        return self.token_changed_at is not None and written is not None and self.token_changed_at > written

    @property
    def pending_is_of_another_group(self) -> bool:
        """Whether the group was made since: from a snapshot, with the current password and no other."""
        written = self.written_at.get(self.pending or "")
        return self.group_made_at is not None and written is not None and self.group_made_at > written

    @property
    def current_is_set(self) -> bool:
        """Whether the group's password was changed after it became the current one, which SET does."""
        return self.token_changed_at is not None and self.token_changed_at > self.secret_changed_at

    @property
    def just_rotated_seconds(self) -> float | None:
        """How long ago the group's password was changed, if that is recent and nothing is left to do."""
        if self.pending or self.version(ROTATED) or self.token_changed_at is None:
            return None
        ago = self.now - self.token_changed_at
        return ago if ago < RECENT_SECONDS else None

    def follow_left(self, seconds: float) -> float:
        """Until every process logs in with the current password, which is new: ``seconds`` after that."""
        return self.secret_changed_at + seconds - self.now


def next_step(seen: Seen, *, follow_seconds: float) -> Step:
    """Raises `CannotRotate`."""
    if seen.group_status not in _AT_WORK:
        raise CannotRotate(
            f"the replication group is {seen.group_status!r}: nobody's password can be changed"
        )
    if seen.working:
        return Step.WAIT
    rotated = seen.version(ROTATED)
    if rotated == seen.current:
        if seen.current_is_set:
            return Step.FINISH
        return Step.FOLLOW if seen.follow_left(follow_seconds) > 0 else Step.SET
    if rotated is not None and rotated != seen.pending:
        raise CannotRotate(
            f"the secret has got another version since its version {rotated} was given to the group: who "
            f"wrote that must say which password holds (docs/rotation.md), then remove the label {ROTATED}"
        )
    if seen.pending is None or seen.pending_is_of_another_group:
        return Step.WRITE
    if rotated is not None:
        return Step.MOVE
    return Step.NOTE if seen.pending_is_taken else Step.ROTATE


def steps_from(step: Step) -> Sequence[Step]:
    """This one and all that come after it."""
    ordered = [one for one in Step if one is not Step.WAIT]
    if step is Step.WAIT:
        return [Step.WAIT]
    return ordered[ordered.index(step) :]
