"""`rollback`: bad code is found after its release has become current."""

from __future__ import annotations

import time

from taskfleet.releases.model import State

from drills.releases.load import Load
from drills.releases.rig import Rig
from drills.releases.ticks import Ticking
from drills.report import Check, Report
from tests.support.processes import until

WITHIN_SECONDS = 10.0
# So long green serves before anybody finds out.
SERVES_SECONDS = 5.0


def rollback(rig: Rig, short: bool) -> Report:
    """`fleet release rollback` under load; green's tasks end on green."""
    blue, green, within = rig.current, rig.release(), WITHIN_SECONDS
    with Load(rig, short=short) as load:
        ticking = Ticking(rig)
        rig.deploy(green)
        rig.wait_for(lambda: rig.current == green.id, "green is current")
        time.sleep(SERVES_SECONDS if short else 4 * SERVES_SECONDS)
        began, since = time.time(), "the command began"
        command = rig.operator("release", "rollback", "--yes")
        took = time.time() - began
        if not short:
            rig.wait_for(lambda: rig.state(green.id) is State.DRAINED, "green is drained")
        if short:  # among the other tests, the command itself may take ten seconds to begin
            began, since = rig.snapshot().pointer.at, "its write"
        until(lambda: time.time() > began + within, within)
    counted, ticks = load.counted(), ticking.counted()
    last = load.last_to(green.id)
    after = max(0.0, (last or began) - began)
    late = {line["release"] for line in rig.journal("tick") if line["published_at"] > began + within}
    return Report(
        name="rollback",
        checks=[
            Check(
                f"the command succeeds: {command.returncode} {command.stderr.strip()}", not command.returncode
            ),
            Check(f"green served before: {last is not None}", last is not None),
            Check(
                f"the last publish to green came {after:.1f} s after {since}, {within:g} s at most",
                after <= within,
            ),
            Check(f"{blue} is current", rig.current == blue and rig.state(blue) is State.CURRENT),
            Check(f"beat's firings run on {', '.join(sorted(late)) or 'nothing'}", late == {blue}),
            *counted.checks(),
            *ticks.checks(),
        ],
        figures={
            "command_seconds": took,
            "last_publish_to_green_seconds": after,
            **counted.figures(),
            **ticks.figures(),
            "tasks_per_second": load.rate_held(),
        },
    )
