"""A green that passes its gate and is bad all the same: its canary finds that out, or its bake."""

from __future__ import annotations

import time
from collections.abc import Iterator

from taskfleet.contract.alarm_catalogue import of_release
from taskfleet.contract.manifest import Canary
from taskfleet.releases.model import State

from drills.releases import alarms
from drills.releases.app import FAILS
from drills.releases.load import Load
from drills.releases.rig import Rig
from drills.releases.stack import Release
from drills.releases.ticks import Ticking
from drills.report import Check, Figure
from infra import outcome

# Scaled: half of the publishes that follow the pointer, while workers hand over their counts some times.
CANARY = Canary(share=0.5, seconds=40, runs=5)
BAKE_SECONDS = 30
SECONDS = 150.0


def rejected(rig: Rig, short: bool) -> tuple[list[Check], dict[str, Figure]]:
    """One fails its canary; one passes it and fails its bake; one passes both and is current."""
    blue = rig.current
    checks: list[Check] = []
    figures: dict[str, Figure] = {}
    with Load(rig, short=short) as load:
        ticking = Ticking(rig)
        fails = rig.release(canary=CANARY, variables={FAILS: "plain"})
        # A task that fails takes longer than one that does nothing, so that either test may be the first.
        checks += _ends(rig, fails, figures, "its tasks fail in the canary", "it failed its canary: ")
        rings = rig.release(bake_seconds=BAKE_SECONDS)
        checks += _ends(rig, rings, figures, "its alarm rings in the bake", "failed its bake: in ALARM")
        checks += _serves(rig, blue)
        good = rig.release(canary=CANARY, bake_seconds=BAKE_SECONDS)
        checks += _passes(rig, good, figures)
    counted, ticks = load.counted(), ticking.counted()
    ran = {line["release"] for line in load.did()}
    checks += [
        Check(f"each ran tasks of the load: {sorted(ran)}", {fails.id, rings.id, good.id, blue} <= ran),
        *counted.checks(),
        *ticks.checks(),
    ]
    own = {**counted.figures(), **ticks.figures()}
    return checks, {**figures, **{f"judged_{name}": value for name, value in own.items()}}


def _ends(rig: Rig, release: Release, figures: dict[str, Figure], fault: str, why: str) -> Iterator[Check]:
    """It is deployed, serves, is rejected, and its deploy says so."""
    blue, began = rig.current, time.time()
    _alarms(rig, release, "OK")
    rig.deploy(release)
    if release.bake_seconds:
        rig.wait_for(lambda: rig.current == release.id, f"{release.id} is current", SECONDS)
        rig.wait_for(lambda: _ran(rig, release), f"{release.id} runs tasks", SECONDS)
        _alarms(rig, release, "ALARM")
    took = rig.wait_for(lambda: _rejected(rig, release) is not None, f"{release.id} is rejected", SECONDS)
    figures[f"{fault.replace(' ', '_')}_seconds"] = took
    said = _rejected(rig, release) or ""
    snapshot, well = outcome.follow(rig.store, since=began, say=lambda _: None)
    lines = outcome.describe(snapshot, since=began, looked_at=time.time(), now=time.time())
    rig.wait_for(lambda: rig.current == blue, f"{blue} is current", SECONDS)
    yield Check(f"{fault}: {release.id} is rejected: {said}", why in said)
    yield Check(f"{fault}: the deploy fails, and says so", not well and any(said in line for line in lines))


def _passes(rig: Rig, release: Release, figures: dict[str, Figure]) -> Iterator[Check]:
    _alarms(rig, release, "OK")
    began = time.time()
    rig.deploy(release)
    rig.wait_for(lambda: rig.state(release.id) is State.CANARY, f"{release.id} is in its canary", SECONDS)
    _, well = outcome.follow(rig.store, since=began, say=lambda _: None)
    figures["canary_and_bake_seconds"] = time.time() - began
    record = rig.record(release.id)
    reasons = [change.reason for change in record.history] if record else []
    yield Check(f"a good one is current and has baked: {reasons[-1:]}", well and rig.current == release.id)
    yield Check(
        f"… and had passed its canary: {reasons[-2:-1]}", any("canary has passed" in one for one in reasons)
    )


def _serves(rig: Rig, blue: str) -> Iterator[Check]:
    yield Check(f"{blue} is current, as before", rig.state(blue) is State.CURRENT)


def _rejected(rig: Rig, release: Release) -> str | None:
    record = rig.record(release.id)
    return record.rejected if record else None


def _ran(rig: Rig, release: Release) -> bool:
    return any(line["release"] == release.id for line in rig.journal("did"))


def _alarms(rig: Rig, release: Release, state: str) -> None:
    """Have the release's own alarms be in a state, as CloudWatch's evaluation would; one, where they ring."""
    wanted = of_release(rig.fleet.name, release.manifest)
    alarms.put_in_state(rig.account.client("cloudwatch"), wanted if state == "OK" else wanted[:1], state)
