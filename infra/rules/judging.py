"""Canary and bake: shares and times that can be kept to, and that can tell anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from taskfleet.contract.figures import KEEP_SECONDS
from taskfleet.contract.metrics import LOOK_SECONDS
from taskfleet.releases import bake, canary

from infra.rules.problem import Problem

if TYPE_CHECKING:
    from infra.settings import Settings

# Workers hand over what they have counted every ten seconds, and it is kept by the minute.
LEAST_CANARY_SECONDS = 60
MOST_CANARY_SECONDS = KEEP_SECONDS // canary.AT_MOST
MOST_BAKE_SECONDS = 12 * 3600
MOST_SHARE = 0.5


def _canary(settings: Settings) -> Iterator[Problem]:
    wanted = settings.canary
    if wanted is None:
        return
    if not 0 < wanted.share <= MOST_SHARE:
        yield Problem(
            setting="canary.share",
            value=wanted.share,
            rule="a part of all publishes, which is compared with the larger rest",
            fix=f"more than 0 and {MOST_SHARE} at most, 0.05 for five per cent; None for no canary",
        )
    if not LEAST_CANARY_SECONDS <= wanted.seconds <= MOST_CANARY_SECONDS:
        yield Problem(
            setting="canary.seconds",
            value=wanted.seconds,
            rule="what tasks experienced is counted by the minute, and kept for "
            f"{KEEP_SECONDS} s; it may take {canary.AT_MOST} times as long",
            fix=f"{LEAST_CANARY_SECONDS} to {MOST_CANARY_SECONDS}",
        )
    if wanted.runs < 1:
        yield Problem(
            setting="canary.runs",
            value=wanted.runs,
            rule="so many runs are compared at least",
            fix="1 or more; 50 tell little, 500 more",
        )


def _bake(settings: Settings) -> Iterator[Problem]:
    seconds = settings.bake_seconds
    if seconds and not LOOK_SECONDS <= seconds <= MOST_BAKE_SECONDS:
        yield Problem(
            setting="bake_seconds",
            value=seconds,
            rule=f"the controller looks every {LOOK_SECONDS} s; no later release becomes current meanwhile, "
            f"and it may take {bake.AT_MOST} times as long",
            fix=f"{LOOK_SECONDS} to {MOST_BAKE_SECONDS}, or 0: no bake",
        )


RULES = (_canary, _bake)
