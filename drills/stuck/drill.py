"""`stuck-drain`: a producer that never lets go, a task that never ends, and a producer that sleeps."""

from __future__ import annotations

import json
import signal
import time
from typing import Any

from taskfleet.errors import QueueClosed
from taskfleet.releases.model import State

from drills.report import Check, Report
from drills.stuck.app import app, endless, number
from drills.stuck.rig import BLUE, GREEN, LOOK_SECONDS, Rig, rig
from tests.support.processes import until

NAME = "stuck-drain"
FAULT = "a pinned producer, an endless task, and a producer that is suspended over the whole drain"
# In the short form a lease of 300 s lasts for 9, and is renewed each 1.8 s.
SHORT_SCALE = 0.03
SECONDS = 600.0


def run(*, short: bool) -> Report:
    """On a rig of its own."""
    with rig(scale=SHORT_SCALE if short else 1.0) as made:
        return _drain(made)


def _drain(fleet: Rig) -> Report:
    began = time.monotonic()
    fleet.produce("follows")
    fleet.produce("pinned", pinned=BLUE)
    fleet.produce("sleeps")
    hanging = endless.delay()
    until(fleet.hangs, SECONDS)
    until(lambda: len(_leases(fleet)) == 3, SECONDS)
    fleet.signal("sleeps", signal.SIGSTOP)
    asleep_at = len(fleet.published("sleeps"))
    fleet.promote(GREEN)

    pid = fleet.producers["pinned"].pid
    named = until(lambda: f"pid {pid}" in fleet.problem(BLUE) and "endless" in fleet.problem(BLUE), SECONDS)
    problem = fleet.problem(BLUE)
    drained_early = fleet.state(BLUE) is State.DRAINED
    overdue = fleet.last.drain_overdue if fleet.last else None

    # The way out, as its runbook says it.
    (lease,) = [each["process"] for each in _leases(fleet, BLUE) if each["pinned"]]
    fleet.kill("pinned")
    fleet.operator("producers", "forget", lease, "--yes")
    app.control.revoke(hanging.id, terminate=True, signal="SIGKILL")
    cured_at = time.monotonic()
    drained = until(lambda: fleet.state(BLUE) is State.DRAINED, SECONDS)
    took = time.monotonic() - cured_at

    fleet.signal("sleeps", signal.SIGCONT)
    woke = until(lambda: len(fleet.published("sleeps")) > asleep_at + 5, SECONDS)
    late = _late_message(fleet)
    fleet.retire(BLUE)
    refused = until(lambda: _is_refused(fleet), SECONDS)

    for name in ("follows", "sleeps"):
        fleet.signal(name, signal.SIGTERM)
        fleet.producers[name].wait()
    accepted = {
        (one["producer"], one["n"])
        for name in fleet.producers
        for one in fleet.published(name)
        if not one["why"]
    }
    accepted.add(("late", 0))
    until(lambda: accepted <= {(one["producer"], one["n"]) for one in fleet.did()}, 60)
    ran = [(one["producer"], one["n"]) for one in fleet.did()]
    lost, duplicates = len(accepted - set(ran)), len(ran) - len(set(ran))
    after = {one["release"] for one in fleet.did() if one["producer"] == "sleeps" and one["n"] > asleep_at}
    return Report(
        name=NAME,
        checks=[
            Check(f"the problem names the task and the producer: {problem}", named),
            Check(f"the alarm's metric crosses: {overdue} overdue", overdue == 1),
            Check("it is not called drained meanwhile", not drained_early),
            Check("the runbook's way out drains it", drained),
            Check("who slept over it all publishes to green", woke and after == {GREEN}),
            Check("a message that came after all made it drain again, and ran", late),
            Check("once it is retired a publish to it is refused, and says so", refused),
            Check(f"lost 0: {lost}", lost == 0),
            Check(f"duplicates 0: {duplicates}", duplicates == 0),
        ],
        figures={
            "accepted": len(accepted),
            "lost": lost,
            "duplicates": duplicates,
            "drained_after_the_way_out_seconds": took,
            "seconds": time.monotonic() - began,
        },
    )


def _leases(fleet: Rig, release: str | None = None) -> list[dict[str, Any]]:
    of = ("--release", release) if release else ()
    return list(json.loads(fleet.operator("producers", "list", "--json", *of))["producers"])


def _late_message(fleet: Rig) -> bool:
    """From this process, pinned and without a lease yet: blue is drained, and gets a message all the same."""
    app.taskfleet.bind(fleet.fleet.settings(pinned_release=BLUE))
    if fleet.state(BLUE) is not State.DRAINED:
        return False
    number.delay("late", 0, 5 * LOOK_SECONDS)
    drains = until(lambda: fleet.state(BLUE) is State.DRAINING, 60)
    return drains and until(lambda: fleet.state(BLUE) is State.DRAINED, 60)


def _is_refused(fleet: Rig) -> bool:
    """What is accepted until the controller has closed the queues is run."""
    n = len(fleet.accepted)
    try:
        number.delay("until closed", n)
    except QueueClosed:
        return True
    fleet.accepted.add(("until closed", n))
    return False
