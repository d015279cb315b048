"""`controller-kill` and `broker-kill-mid-deploy`: who moves a release on dies, or what it is proven on."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from taskfleet.contract.manifest import BeforeGate
from taskfleet.releases.model import State

from drills.chance import near
from drills.releases.load import Load
from drills.releases.rig import Rig
from drills.releases.stack import POOL, Release
from drills.report import Check, Figure, Report

THROUGH = (State.REGISTERED, State.GATING, State.CURRENT, State.DRAINING, State.DRAINED)
# A command before the gate, so that there are its steps to die at.
NOTHING = BeforeGate((sys.executable, "-c", ""), POOL, 60)
RANDOM_KILLS = 40
SECONDS = 300.0


def controller_kill(rig: Rig, short: bool) -> Report:
    """The controller dies at each step of a release; two work on one; full: it dies at random, too."""
    before, releases, already = rig.snapshot().pointer, [rig.current], rig.ran_through(rig.current)
    (first,) = rig.controllers
    moments = ("after",) if short else ("before", "after")
    through = THROUGH[:4] if short else THROUGH  # no test waits for a drain here: `deploys` does
    with Load(rig, short=short) as load:
        first.dies(*moments)
        releases.append(_through(rig, rig.release(before_gate=NOTHING)))
        if not short:
            rig.wait_for(lambda: rig.state(releases[0]) is State.DRAINED, "it is drained", SECONDS)
        deaths = first.deaths()
        first.dies()
        second = rig.start_controller()
        try:
            releases.append(_through(rig, rig.release()))
            if not short:
                releases.append(_killed_at_random(rig))
            rig.wait_for(lambda: _all(rig, releases[:-1], through, already), "those before drain", SECONDS)
        finally:
            rig.end_controller(second)
    counted, after = load.counted(), rig.snapshot().pointer
    steps = {death["step"] for death in deaths}
    died = [step for step in steps if {d["when"] for d in deaths if d["step"] == step} == set(moments)]
    return Report(
        name="controller-kill",
        checks=[
            *counted.checks(),
            *_same_end(rig, releases, through, already),
            Check(
                f"each change of the pointer was made once: {after.version - before.version} of "
                f"{len(releases) - 1}",
                after.version - before.version == len(releases) - 1,
            ),
            Check(
                f"it died {' and '.join(moments)} each of {len(steps)} steps: {len(died)}",
                len(died) == len(steps) > 6,
            ),
        ],
        figures={
            "kills_at_steps": len(deaths),
            "steps": len(steps),
            **counted.figures(),
            "tasks_per_second": load.rate_held(),
        },
    )


def _through(rig: Rig, release: Release) -> str:
    """Deploy it, and wait until producers are told of it."""
    rig.deploy(release)
    rig.wait_for(lambda: rig.current == release.id, f"{release.id} is current", SECONDS)
    return release.id


def _killed_at_random(rig: Rig) -> str:
    release = rig.release(before_gate=NOTHING)
    rig.deploy(release)
    for number in range(RANDOM_KILLS):
        rig.controllers[number % len(rig.controllers)].kill()
        time.sleep(near(0.6, 0.5))
    rig.wait_for(lambda: rig.current == release.id, f"{release.id} is current", SECONDS)
    return release.id


def _all(rig: Rig, releases: Sequence[str], through: Sequence[State], already: Sequence[str]) -> bool:
    return all(str(through[-1]) in _since(rig, releases, each, already) for each in releases)


def _since(rig: Rig, releases: Sequence[str], release: str, already: Sequence[str]) -> list[str]:
    """The states of a release since this drill began: the first was current, ``already`` through some."""
    return rig.ran_through(release)[len(already) if release == releases[0] else 0 :]


def _same_end(
    rig: Rig, releases: Sequence[str], through: Sequence[State], already: Sequence[str]
) -> list[Check]:
    """As if nothing had been killed."""
    found = []
    for release in releases:
        ways = {releases[0]: through[through.index(State.DRAINING) :], releases[-1]: THROUGH[:3]}
        expected = [str(each) for each in ways.get(release, through)]
        ran = _since(rig, releases, release, already)
        found.append(Check(f"{release} went through {', '.join(ran)}", ran[: len(expected)] == expected))
    status = rig.stack_status(releases[-1])
    found.append(Check(f"its stack is {status}", status == "CREATE_COMPLETE"))
    told, record = rig.current, rig.snapshot().pointer.release
    found.append(Check(f"producers are told {told}, as the record says", told == record == releases[-1]))
    return found


def broker_kill_mid_deploy(rig: Rig, short: bool) -> Report:
    """Redis dies while a release is gated, and again while the one before it drains."""
    away = 4.0 if short else 30.0
    blue, green, already = rig.current, rig.release(), rig.ran_through(rig.current)
    figures: dict[str, Figure] = {"away_seconds": away}
    with Load(rig, short=short) as load:
        rig.deploy(green)
        rig.wait_for(lambda: rig.state(green.id) in (State.REGISTERED, State.GATING), "it is gated", SECONDS)
        gated = _without_redis(rig, green.id, away)
        figures["current_after_redis_seconds"] = rig.wait_for(
            lambda: rig.current == green.id, "it is current", SECONDS
        )
        rig.wait_for(lambda: rig.state(blue) is State.DRAINING, "blue drains", SECONDS)
        drained = _without_redis(rig, blue, away)
        if not short:
            figures["drained_after_redis_seconds"] = rig.wait_for(
                lambda: rig.state(blue) is State.DRAINED, "blue is drained", SECONDS
            )
    counted = load.counted()
    waited = {State.REGISTERED, State.GATING}
    return Report(
        name="broker-kill-mid-deploy",
        checks=[
            *counted.checks(duplicates_allowed=True),
            Check(f"the gate waited for Redis: {_said(gated)}", gated <= waited),
            Check(f"the drain waited for Redis: {_said(drained)}", drained == {State.DRAINING}),
            *_same_end(rig, [blue, green.id], THROUGH[:4] if short else THROUGH, already),
        ],
        figures={**figures, **counted.figures(), "tasks_per_second": load.rate_held()},
    )


def _without_redis(rig: Rig, release: str, seconds: float) -> set[State | None]:
    """The states of a release while Redis was away."""
    rig.valkey.kill()
    seen, end = {rig.state(release)}, time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.3)
        seen.add(rig.state(release))
    rig.valkey.start()
    return seen


def _said(states: set[State | None]) -> str:
    return ", ".join(sorted(map(str, states)))
