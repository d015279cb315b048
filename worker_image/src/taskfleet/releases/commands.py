"""What operators ask for, as steps to show before anything is done. Pure: what is refused, says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from taskfleet.contract.split import Split
from taskfleet.errors import ReleaseError
from taskfleet.releases.model import Pointer, Record, State
from taskfleet.releases.observation import RemainingWork


@dataclass(frozen=True)
class Promotion:
    """The pointer's next record, the record of the release that takes over, and of the one that drains.

    Where a canary begins or ends the pointer stays, and ``green`` is in it, or was.
    """

    pointer: Pointer
    green: Record
    blue: Record | None

    @property
    def steps(self) -> tuple[str, ...]:
        """For a person to read before saying yes."""
        canary, name = self.green.manifest.canary, self.green.release
        if self.pointer.split is not None and canary is not None:
            return (
                f"within seconds, a share of {canary.share:.3g} of publishes goes to release {name}, for "
                f"{canary.seconds} s",
                f"then release {name} becomes current, unless its tasks fail more or take longer",
            )
        if self.pointer.release != name:
            return (f"the canary of release {name} ends: it drains, {self.pointer.release} stays current",)
        drains = (
            (f"release {self.blue.release}: current -> draining; it finishes what it has",)
            if self.blue
            else ()
        )
        return (f"producers publish to release {self.green.release} within seconds", *drains)


def find(records: Mapping[str, Record], release: str) -> Record:
    """The record of a release. `ReleaseError` names those that exist."""
    if release not in records:
        known = ", ".join(sorted(records)) or "none yet"
        raise ReleaseError(f"there is no release {release!r}; known: {known} (deploy its stack first)")
    return records[release]


def promote(
    records: Mapping[str, Record],
    pointer: Pointer,
    release: str,
    *,
    at: float,
    actor: str,
    reason: str,
    running: Mapping[str, int] | None = None,
) -> Promotion | None:
    """How to make a release current; None if it is already. `ReleaseError` if it must not be.

    ``running``: workers by pool, seen just now; None if the caller has made sure of them. A release that has
    another one to go back to then bakes, if its settings say so.
    """
    green = find(records, release)
    if pointer.release == release:
        return None
    _check(green, running)
    blue = records.get(pointer.release)
    made = green.moved(State.CURRENT, at=at, actor=actor, reason=reason)
    if green.state in (State.GATING, State.CANARY) and green.manifest.bake_seconds and blue is not None:
        made = replace(made, goes_back_to=blue.release)
    return Promotion(
        pointer=Pointer(release=release, version=pointer.version + 1, at=at, actor=actor, reason=reason),
        green=made,
        blue=drained_by(blue, release, at=at, actor=actor) if blue else None,
    )


def has_canary(record: Record, pointer: Pointer) -> bool:
    """Whether it is compared with a current release before it becomes current itself."""
    return record.manifest.canary is not None and record.state is State.GATING and pointer.version > 0


def start_canary(
    records: Mapping[str, Record],
    pointer: Pointer,
    release: str,
    *,
    at: float,
    actor: str,
    reason: str,
    running: Mapping[str, int] | None = None,
) -> Promotion:
    """How a share of publishes goes to a release. `ReleaseError` as for `promote`, or beside another."""
    green = find(records, release)
    _check(green, running)
    wanted = green.manifest.canary
    if wanted is None or green.state is not State.GATING or pointer.release not in records:
        raise ReleaseError(f"release {release} is {green.state} and can't have a canary (now)")
    if pointer.split is not None:
        raise ReleaseError(
            f"release {pointer.split.release} is in its canary: wait for its end, or end it first: "
            "fleet release rollback --yes"
        )
    return Promotion(
        # Since when the current release is so, and by whom, stays as it is.
        pointer=replace(
            pointer, version=pointer.version + 1, split=Split(release, pointer.release, wanted.share)
        ),
        green=green.moved(State.CANARY, at=at, actor=actor, reason=reason),
        blue=None,
    )


def end_canary(
    records: Mapping[str, Record],
    pointer: Pointer,
    *,
    at: float,
    actor: str,
    reason: str,
    rejected: bool = False,
) -> Promotion | None:
    """How all publishes go to the current release again; None if they do."""
    record = None if pointer.canary is None else records.get(pointer.canary)
    if record is None or record.state is not State.CANARY:
        return None
    made = record.moved(State.DRAINING, at=at, actor=actor, reason=reason)
    return Promotion(
        pointer=replace(pointer, version=pointer.version + 1, split=None),
        green=replace(made, rejected=reason if rejected else None),
        blue=None,
    )


def roll_back(
    records: Mapping[str, Record], pointer: Pointer, to: str, *, at: float, actor: str, reason: str
) -> Promotion | None:
    """How the current release, which failed its bake, is left for another one; None if it is not current."""
    made = promote(records, pointer, to, at=at, actor=actor, reason=reason)
    if made is None or made.blue is None:
        return None
    return replace(made, blue=replace(made.blue, rejected=reason))


def _check(green: Record, running: Mapping[str, int] | None) -> None:
    release = green.release
    if not green.ready:
        raise ReleaseError(f"release {release} can't become current: {_not_ready(green)}")
    if running is not None and (asleep := _without_worker(green, running)):
        raise ReleaseError(
            f"release {release} can't become current: no worker runs in {', '.join(asleep)}; "
            f"start one first: fleet scale {asleep[0]} 1 --release {release} --yes"
        )


def drained_by(blue: Record, green: str, *, at: float, actor: str) -> Record | None:
    """The record of the release that another one took over from."""
    if blue.state is not State.CURRENT:
        return None
    return blue.moved(State.DRAINING, at=at, actor=actor, reason=f"release {green} became current")


def _without_worker(record: Record, running: Mapping[str, int]) -> list[str]:
    """Pools that must not sleep and do."""
    return [p.name for p in record.manifest.pools if p.min_workers and not running.get(p.name)]


def _not_ready(record: Record) -> str:
    if record.retiring is not None:
        return f"{record.retiring} asked for its stack to be deleted; deploy it again first"
    if record.state is State.FAILED:
        return f"it failed ({record.history[-1].reason}); mend it and deploy it under a new id"
    if record.state is State.ASLEEP:
        return f"it sleeps; wake it first: fleet release wake {record.release} --yes"
    if record.state is State.RETIRED:
        return "it is retired and nothing runs its tasks; deploy it again first"
    if record.gate_passed_at is not None and not record.deployed:
        return "its deploy has not ended: the controller lets it end within seconds; try again"
    return "its gate has not passed yet: each pool needs a live worker, each queue a gate task that ran"


def before(records: Mapping[str, Record], pointer: Pointer) -> Record:
    """The release to go back to: the warm one that was current last.

    `ReleaseError` if none is warm, or if the current one was itself gone back to: whoever runs the same
    command twice would otherwise be on the release that was left.
    """
    been = [r for r in records.values() if r.release != pointer.release and _last_current(r) > 0 and r.ready]
    if not been:
        asleep = sorted(r.release for r in records.values() if r.state is State.ASLEEP)
        wake = f"; asleep: {', '.join(asleep)} (fleet release wake {asleep[-1]} --yes)" if asleep else ""
        current = records.get(pointer.release)
        rolls = current is not None and current.manifest.build is not None
        anew = "; its builds are rolled: deploy the source of the build before (make deploy)" if rolls else ""
        raise ReleaseError(
            "there is no release to go back to: none that was current is still warm (draining or drained)"
            + wake
            + anew
        )
    last = max(been, key=_last_current)
    if gone_back_to(records.get(pointer.release)):
        raise ReleaseError(
            f"release {pointer.release} is current since somebody went back to it: rolling back again would "
            f"make {last.release} current, which was left. If that is what you want, name it: "
            f"fleet release rollback {last.release} --yes"
        )
    return last


def gone_back_to(record: Record | None) -> bool:
    """Whether a release is current for another time: it was draining or drained before."""
    taken_over = [change for change in record.history if change.after == State.CURRENT] if record else []
    return bool(taken_over) and taken_over[-1].before in (State.DRAINING, State.DRAINED)


def _last_current(record: Record) -> float:
    return max((change.at for change in record.history if change.after == State.CURRENT), default=0.0)


def retire(
    records: Mapping[str, Record],
    pointer: Pointer,
    release: str,
    *,
    left: RemainingWork | None,
    actor: str,
    park: bool = False,
) -> Record | None:
    """The record that says who wants its stack gone; None if it is gone. `ReleaseError` if it holds work.

    With ``park`` that is no error: the controller moves what is left to the dead-letter store. It closes its
    queues before; `taskfleet.releases.closing.may_be_deleted` says what comes of it.
    """
    record = find(records, release)
    if record.state is State.RETIRED:
        return None
    if pointer.release == release or record.state is State.CURRENT:
        raise ReleaseError(f"release {release} is current: promote another release first, then let it drain")
    if pointer.canary == release:
        raise ReleaseError(f"release {release} is in its canary: end it first: fleet release rollback --yes")
    if park:
        return replace(record, retiring=actor, parking=True, version=record.version + 1)
    if record.state is State.DRAINING:
        raise ReleaseError(
            f"release {release} still drains: {_says(left)}; wait for `drained` in `fleet status`, or give "
            "--park to move what is left to the dead-letter store"
        )
    total = None if left is None else left.total
    # One that never served may hold gate tasks, which are no work: they go when it is closed.
    if total is None or (record.state in (State.DRAINED, State.ASLEEP) and total):
        raise ReleaseError(f"release {release} can't be deleted now: {_says(left)}; look again in a minute")
    return replace(record, retiring=actor, version=record.version + 1)


def wake(records: Mapping[str, Record], release: str, *, at: float, actor: str) -> Record | None:
    """The record of a release that sleeps and is to be warm again; None if it is.

    `ReleaseError` if it is no use to wake it.
    """
    record = find(records, release)
    if record.state in (State.DRAINING, State.DRAINED, State.CURRENT):
        return None
    if record.state is not State.ASLEEP:
        raise ReleaseError(f"release {release} is {record.state}: only one that sleeps can be woken")
    if record.retiring is not None:
        raise ReleaseError(f"release {release} can't be woken: {record.retiring} asked for its deletion")
    return record.moved(State.DRAINED, at=at, actor=actor, reason="to be warm for a rollback")


def pause(records: Mapping[str, Record], release: str, *, actor: str | None) -> Record | None:
    """The record of a release that does nothing by itself, or (None) does again; None if it is so already."""
    record = find(records, release)
    if record.state is State.RETIRED:
        raise ReleaseError(f"release {release} is retired: there is nothing that it does")
    if (record.paused is None) == (actor is None):
        return None
    return replace(record, paused=actor, version=record.version + 1)


def _says(left: RemainingWork | None) -> str:
    if left is None or left.total is None:
        return "what is left is not known, because a broker did not answer the controller"
    if left.total == 0:
        return "nothing was left in the last look, and it takes several in a row"
    return str(left)
