"""The drills by name; each runs alone on a rig, or after others on the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from drills.releases.back import rollback
from drills.releases.bad import bad_release
from drills.releases.kills import broker_kill_mid_deploy, controller_kill
from drills.releases.pointer import pointer_lost
from drills.releases.rig import Rig, rig
from drills.releases.row import deploys
from drills.report import Report

DRILLS: Mapping[str, tuple[str, Callable[[Rig, bool], Report]]] = {
    "deploys": ("fifty releases in a row, neighbours with other signatures", deploys),
    "bad-release": ("green crashes, hangs, can't be made, fails its canary or its bake", bad_release),
    "rollback": ("bad code is found after its release has become current", rollback),
    "controller-kill": ("the controller dies at each step of a release; two work on one", controller_kill),
    "broker-kill-mid-deploy": (
        "Redis dies while a release is gated, and while one drains",
        broker_kill_mid_deploy,
    ),
    "pointer-lost": ("SSM fails for five minutes, then throttles for five", pointer_lost),
}

# After Redis was killed, what a producer sent to SQS meanwhile may be hidden for a minute.
TOO_LONG_FOR_TESTS = ("broker-kill-mid-deploy",)


def run(name: str, *, short: bool) -> Report:
    """One of them, on a rig of its own."""
    with rig() as made:
        return DRILLS[name][1](made, short)
