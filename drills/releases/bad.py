"""`bad-release`: green can't be made, does not start, hangs, fails what its team asks, or fails later."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from taskfleet.contract import names
from taskfleet.contract.environment import APP
from taskfleet.contract.manifest import BeforeGate
from taskfleet.releases.model import State

from drills.releases import checked
from drills.releases.judged import rejected
from drills.releases.load import Load
from drills.releases.rig import Rig
from drills.releases.stack import POOL, Release
from drills.releases.ticks import Ticking
from drills.report import Check, Figure, Report
from tests.support.processes import until

# Scaled: nobody waits a quarter of an hour for a gate that proves nothing.
GATE_SECONDS, COMMAND_SECONDS = 20.0, 5
SECONDS = 150.0
ASLEEP_SECONDS = 20.0
NO_PROOF = "there was no proof from"


@dataclass(frozen=True)
class Bad:
    """A release that must fail, and what the deploy must say; ``at_its_deadline``: only time can tell."""

    release: Release
    why: str
    at_its_deadline: bool = False


def bad_release(rig: Rig, short: bool) -> Report:
    """Each fault in a release of its own; the short form deploys those at once that fail by themselves."""
    blue, pointer = rig.current, rig.snapshot().pointer
    figures: dict[str, Figure] = {}
    checks = []
    with Load(rig, short=short) as load:
        ticking = Ticking(rig)
        bad = {fault: one for fault, one in _bad(rig).items() if not (short and one.at_its_deadline)}
        for one in bad.values():
            rig.deploy(one.release)
            if one.at_its_deadline:
                with rig.ruled(gate_deadline_seconds=GATE_SECONDS, gate_resend_seconds=2):
                    _ended(rig, one.release)
            elif not short:
                _ended(rig, one.release)
        for fault, one in bad.items():
            figures[f"{fault.replace(' ', '_')}_seconds"] = _took(rig, one.release)
            reasons, stack = rig.reasons(one.release.id), rig.stack_status(one.release.id)
            said = one.why if one.why in reasons else reasons[-300:]
            checks.append(Check(f"{fault}: the deploy fails, and says: {said}", one.why in reasons))
            checks.append(Check(f"{fault}: its stack is left for a look: {stack}", stack == "CREATE_FAILED"))
            checks.append(_sleeps(rig, fault, one.release))
    counted, ticks = load.counted(), ticking.counted()
    untouched = rig.snapshot().pointer == pointer and rig.current == blue
    others = {line["release"] for line in load.did()} - {blue}
    checks += [
        Check(f"{blue} is current as before", untouched),
        Check(f"no other release ran a task: {sorted(others) or 'none'}", not others),
        *counted.checks(),
        *ticks.checks(),
    ]
    of_judged, judged_figures = rejected(rig, short)
    return Report(
        name="bad-release",
        checks=[*checks, *of_judged],
        figures={
            **figures,
            **counted.figures(),
            **ticks.figures(),
            "tasks_per_second": load.rate_held(),
            **judged_figures,
        },
    )


def _bad(rig: Rig) -> Mapping[str, Bad]:
    """By what is wrong."""
    fails = (sys.executable, "-c", "raise SystemExit('the table is locked')")
    hangs = (sys.executable, "-c", "import time; time.sleep(3600)")
    missing = rig.release(variables={APP.name: "drills.releases.missing:app"})
    hanging = rig.release(variables={APP.name: "drills.releases.hangs:app"})
    beatless = rig.release(of_beat={APP.name: "drills.releases.missing:app"})
    application = {APP.name: "drills.releases.checked:app"}
    return {
        "its command fails": Bad(
            rig.release(before_gate=BeforeGate(fails, POOL, 60)),
            "its command before the gate ended with 1: the table is locked",
        ),
        "its command hangs": Bad(
            rig.release(before_gate=BeforeGate(hangs, POOL, COMMAND_SECONDS)),
            f"its command before the gate ran for {COMMAND_SECONDS} s",
        ),
        "its check raises": Bad(
            rig.release(variables={**application, checked.CHECK: checked.RAISES}),
            "RuntimeError: the migration is missing",
        ),
        "its check hangs": Bad(
            rig.release(variables={**application, checked.CHECK: checked.HANGS}),
            f"longer than its {checked.TIMEOUT_SECONDS} s",
        ),
        "its stack can't be made": Bad(rig.release(fails=True), "already exists"),
        "crashes at import": Bad(missing, NO_PROOF, at_its_deadline=True),
        "its beat crashes at import": Bad(beatless, f"{NO_PROOF} its beat", at_its_deadline=True),
        "hangs at import": Bad(hanging, NO_PROOF, at_its_deadline=True),
    }


def _ended(rig: Rig, release: Release) -> None:
    rig.wait_for(lambda: rig.stack_status(release.id) == "CREATE_FAILED", f"{release.id} has failed", SECONDS)


def _sleeps(rig: Rig, fault: str, release: Release) -> Check:
    """Whether what is left of it costs nothing, and is kept in a record."""
    services = [names.service(POOL, release.id), names.service(POOL, release.id, fallback=True)]
    mine = {*services, names.beat_service(release.id)}
    slept = until(lambda: not mine & rig.agent.services, ASLEEP_SECONDS)
    state = rig.state(release.id)
    says = f"{fault}: it is {state}, and {'nothing of it runs' if slept else 'some of it still runs'}"
    return Check(says, slept and state is State.FAILED)


def _took(rig: Rig, release: Release) -> float:
    """From the beginning of its stack to its failure."""
    _ended(rig, release)
    client = rig.account.client("cloudformation")
    events = client.describe_stack_events(StackName=rig.stack_name(release.id))["StackEvents"]
    moments = [event["Timestamp"].timestamp() for event in events]
    return float(max(moments) - min(moments))
