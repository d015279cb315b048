"""`deploys`: release after release, each with other signatures than its neighbours, under load."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from taskfleet.releases.model import Record, State

from drills.releases.load import Load
from drills.releases.rig import Rig
from drills.releases.ticks import Ticking
from drills.report import Check, Figure, Report

SHORT, FULL = 2, 50
# So many releases live at once; one more waits until the oldest is drained.
LIVE = 4
SECONDS = 300.0
LEAST_OF_RATE = 0.9


def deploys(rig: Rig, short: bool) -> Report:
    """Each begins when the one before is current; a drained one's stack is deleted."""
    many, releases = SHORT if short else FULL, [rig.current]
    deleted: list[str] = []
    with Load(rig, short=short) as load:
        ticking = Ticking(rig)
        for _ in range(many):
            release = rig.release()
            rig.deploy(release)
            _serve(rig, load, release.id)
            releases.append(release.id)
            # A drain waits for the producers' leases, over a minute: the short form does not.
            if not short and len(releases) - len(deleted) > LIVE:
                deleted.append(_deleted(rig, releases[len(deleted)]))
        while not short and len(deleted) < len(releases) - 1:
            deleted.append(_deleted(rig, releases[len(deleted)]))
    counted, ticks = load.counted(), ticking.counted()
    records = [record for each in releases if (record := rig.record(each)) is not None]
    ran = {line["release"] for line in load.did()}
    least = load.wanted_rate * LEAST_OF_RATE
    return Report(
        name="deploys",
        checks=[
            *counted.checks(),
            *ticks.checks(),
            Check(f"{many} releases became current: {rig.current} is", rig.current == releases[-1]),
            Check(f"each ran tasks of the load: {sorted(ran)}", ran >= set(releases)),
            Check(
                f"at {least:.0f} tasks/s or more: {load.rate_held():.1f}", short or load.rate_held() >= least
            ),
        ],
        figures={
            "releases": many,
            **counted.figures(),
            **ticks.figures(),
            "tasks_per_second": load.rate_held(),
            **spread("gate", [between(r, State.REGISTERED, State.CURRENT) for r in records[1:]]),
            **spread(
                "drain", [between(r, State.DRAINING, State.DRAINED) for r in records if r.release in deleted]
            ),
            "dead_letters": len(rig.dead_letters()),
        },
    )


def _serve(rig: Rig, load: Load, release: str) -> None:
    """Until it is current and has run something, however fast its gate was."""
    rig.wait_for(lambda: rig.current == release, f"{release} is current", SECONDS)
    rig.wait_for(
        lambda: any(line["release"] == release for line in load.did()), f"{release} runs tasks", SECONDS
    )


def _deleted(rig: Rig, release: str) -> str:
    rig.wait_for(
        lambda: rig.state(release) in (State.DRAINED, State.RETIRED), f"{release} is drained", SECONDS
    )
    rig.delete(release)
    return release


def between(record: Record, since: State, until: State) -> float:
    """Seconds from the first time in one state to the last in another; NaN if it was never there."""
    begun = [change.at for change in record.history if change.after == since]
    ended = [change.at for change in record.history if change.after == until]
    return ended[-1] - begun[0] if begun and ended else float("nan")


def spread(what: str, seconds: Sequence[float]) -> dict[str, Figure]:
    """The median, the longest, and all of them."""
    return {
        f"{what}_median_seconds": statistics.median(seconds) if seconds else None,
        f"{what}_longest_seconds": max(seconds, default=None),
        f"{what}s_seconds": " ".join(f"{each:.0f}" for each in seconds),
    }
