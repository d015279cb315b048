"""A release's record: the states it goes through, the moves that are legal, and its history."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from taskfleet.contract.manifest import ReleaseManifest
from taskfleet.contract.split import Split
from taskfleet.errors import ReleaseError

# What a current release is in its history once its bake is over; no state.
BAKED = "baked"
HISTORY_KEPT = 100  # changes; a DynamoDB item holds 400 KB


class State(StrEnum):
    """Where a release is. One whose gate has passed stays in `GATING` until it is promoted."""

    REGISTERED = "registered"
    GATING = "gating"
    CURRENT = "current"
    DRAINING = "draining"
    DRAINED = "drained"
    RETIRED = "retired"
    FAILED = "failed"
    ASLEEP = "asleep"
    CANARY = "canary"


# The deployment of a release whose stack failed before its manifest was written: nobody waits for an answer.
NOT_MADE = "not made"
# Who moves a release that nobody has asked about.
BY_ITSELF = "controller"
_S = State
MOVES: dict[State, frozenset[State]] = {
    # To itself, and back to registered: another build of a release that is rolled.
    _S.REGISTERED: frozenset({_S.GATING, _S.FAILED, _S.RETIRED, _S.REGISTERED}),
    _S.GATING: frozenset({_S.CANARY, _S.CURRENT, _S.FAILED, _S.RETIRED, _S.REGISTERED}),
    # Its queues may hold work: what has failed here, or was overtaken, drains.
    _S.CANARY: frozenset({_S.CURRENT, _S.DRAINING}),
    _S.CURRENT: frozenset({_S.DRAINING, _S.CURRENT}),
    # Back to current is a rollback.
    _S.DRAINING: frozenset({_S.DRAINED, _S.CURRENT}),
    # Back to draining: work turned up after all.
    _S.DRAINED: frozenset({_S.DRAINING, _S.CURRENT, _S.ASLEEP, _S.RETIRED}),
    # Back to drained: somebody wakes it, to go back to it.
    _S.ASLEEP: frozenset({_S.DRAINED, _S.DRAINING, _S.CURRENT, _S.RETIRED}),
    # The same image was deployed again, under the id that it always has; or was to be, and its stack failed.
    _S.RETIRED: frozenset({_S.REGISTERED, _S.FAILED}),
    # Its gate ran after all: a slow start, or a file that was mended on a developer's machine. Or its stack
    # was deployed once more.
    _S.FAILED: frozenset({_S.GATING, _S.REGISTERED, _S.RETIRED}),
}
# Those whose workers run and whose queues may hold work.
LIVE = frozenset(set(_S) - {_S.RETIRED})


# Those with workers; the others sleep.
TAKES_ROOM = LIVE - {_S.ASLEEP, _S.FAILED}


@dataclass(frozen=True)
class Change:
    """One move in a release's history. ``at`` is in seconds since the epoch; ``before`` is empty at birth."""

    at: float
    actor: str
    reason: str
    before: str
    after: str


@dataclass(frozen=True)
class Before:
    """The one-off task of a release's command before its gate: its ARN, and when it was started."""

    task: str
    at: float


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the state table knows of a release.

    ``version`` grows with each write, and each write names the one it read. ``since`` is when the
    state was entered; ``gate_passed_at`` when its gate had passed, ``gate_took`` after how many seconds
    the gate tasks of each broker, and each check; ``retiring`` who asked
    for the deletion of its stack; ``closed_at`` since when nothing is published to it. ``deployment`` is the
    id of the last `taskfleet.releases.observation.Deployment`, ``answered`` of the last that was answered.
    ``before`` is the command that ran before its gate. With ``parking`` what is left in it is parked before
    its stack is deleted. ``paused`` says who wants it to do nothing by itself: neither become current, nor
    sleep, nor be deleted. ``gate_failed``: why the gate of a current release that is rolled has not passed.
    ``kept`` is the last deployment that was answered with success: CloudFormation may go back to it.
    sleep, nor be deleted. ``rejected`` is why its canary or its bake failed. While it bakes, ``goes_back_to``
    is the release that was current before it.
    """

    release: str
    image: str
    manifest: ReleaseManifest
    state: State
    since: float
    version: int = 1
    gate_passed_at: float | None = None
    gate_took: tuple[tuple[str, float], ...] = ()
    retiring: str | None = None
    parking: bool = False
    paused: str | None = None
    closed_at: float | None = None
    deployment: str = ""
    answered: str = ""
    before: Before | None = None
    gate_failed: str | None = None
    kept: str = ""
    rejected: str | None = None
    goes_back_to: str | None = None
    history: tuple[Change, ...] = ()

    @property
    def deployed(self) -> bool:
        """Whether no deploy waits for its gate: CloudFormation has been answered, and keeps its stack."""
        return self.deployment == self.answered

    @property
    def served(self) -> bool:
        """Whether it has been published to, so that its queues may hold work."""
        return any(change.after in (State.CANARY, State.CURRENT) for change in self.history)

    @property
    def never_made(self) -> bool:
        """Whether no stack of it was ever complete: nothing has run or been published under its id."""
        states = {change.after for change in self.history}
        return self.deployment == NOT_MADE and states <= {State.FAILED, State.RETIRED}

    @property
    def ready(self) -> bool:
        """Whether it may be promoted: its gate has passed, its stack stays and nobody is deleting it."""
        warm = self.state in (State.GATING, State.CANARY, State.DRAINING, State.DRAINED)
        return warm and self.gate_passed_at is not None and self.retiring is None and self.deployed

    @property
    def registered_at(self) -> float:
        """When its stack, or another build in it, was last seen new, seconds since the epoch."""
        news = (c.at for c in self.history if c.after in (State.REGISTERED, c.before))
        return max(news, default=self.since)

    def moved(self, to: State, *, at: float, actor: str, reason: str) -> Record:
        """The record after a move. `ReleaseError` if the move is not legal."""
        if to not in MOVES[self.state]:
            allowed = ", ".join(sorted(MOVES[self.state])) or "nothing"
            raise ReleaseError(
                f"release {self.release} is {self.state} and can't become {to}; it can become {allowed}"
            )
        change = Change(at=at, actor=actor, reason=reason, before=self.state, after=to)
        again = to in (State.REGISTERED, self.state)
        # What turned up in a release that retired by itself is done first.
        stays = again or (to is State.DRAINING and self.retiring == BY_ITSELF)
        return replace(
            self,
            state=to,
            since=at,
            version=self.version + 1,
            # What was proven of an earlier deployment proves nothing of this one.
            gate_passed_at=None if again else self.gate_passed_at,
            gate_took=() if again else self.gate_took,
            gate_failed=None if again else self.gate_failed,
            retiring=None if stays else self.retiring,
            parking=False if stays else self.parking,
            before=None if again else self.before,
            rejected=None if again or to is State.CURRENT else self.rejected,
            goes_back_to=None,
            history=(*self.history, change)[-HISTORY_KEPT:],
        )

    def rolled(self, manifest: ReleaseManifest, *, at: float, actor: str) -> Record:
        """The record with another build, whose gate is still to pass; the current release stays current."""
        to = State.CURRENT if self.state is State.CURRENT else State.REGISTERED
        reason = f"build {manifest.build} was deployed"
        if self.gate_failed is not None:
            reason += f"; build {self.manifest.build} had not passed its gate: {self.gate_failed}"
        moved = self.moved(to, at=at, actor=actor, reason=reason)
        return replace(moved, manifest=manifest, image=manifest.image)

    def baked(self, reason: str, *, at: float, actor: str) -> Record:
        """The record once its alarms decide no more: it stays current."""
        change = Change(at=at, actor=actor, reason=reason, before=self.state, after=BAKED)
        history = (*self.history, change)[-HISTORY_KEPT:]
        return replace(self, goes_back_to=None, version=self.version + 1, history=history)


def registered(manifest: ReleaseManifest, *, at: float, actor: str, before: Record | None = None) -> Record:
    """The first record of a release whose manifest turned up; ``before``: of stacks that were never made."""
    return _born(manifest, State.REGISTERED, at, actor, "its stack was deployed", before)


def unmade(
    manifest: ReleaseManifest, *, at: float, actor: str, reason: str, before: Record | None = None
) -> Record:
    """The record of a release whose stack failed before its manifest was written."""
    made = _born(manifest, State.FAILED, at, actor, reason, before)
    # An id is never reused for another image, once one has run under it.
    image = manifest.image if before is None or before.never_made else before.image
    return replace(made, image=image, deployment=NOT_MADE, answered=NOT_MADE)


def _born(
    manifest: ReleaseManifest, state: State, at: float, actor: str, reason: str, before: Record | None
) -> Record:
    birth = Change(at=at, actor=actor, reason=reason, before=before.state if before else "", after=state)
    return Record(
        release=manifest.release,
        image=manifest.image,
        manifest=manifest,
        state=state,
        since=at,
        version=before.version + 1 if before else 1,
        closed_at=before.closed_at if before else None,
        history=(*(before.history if before else ()), birth)[-HISTORY_KEPT:],
    )


class Published(NamedTuple):
    """What producers are told: the current release, and the split while another one is in its canary."""

    release: str
    split: Split | None = None

    def __str__(self) -> str:
        if self.split is None:
            return self.release
        return f"{self.release}, and {self.split.release} for {self.split.share:.3g} of the publishes"


@dataclass(frozen=True)
class Pointer:
    """The record of the current release; ``version`` 0 means that there has been none yet.

    ``split``: a share of publishes goes to another one, which is in its canary.
    """

    release: str
    version: int
    at: float = 0.0
    actor: str = ""
    reason: str = ""
    split: Split | None = None

    @property
    def canary(self) -> str | None:
        """The release that is in its canary."""
        return self.split.release if self.split else None

    @property
    def to_publish(self) -> Published:
        """What producers are to be told."""
        return Published(self.release, self.split)
