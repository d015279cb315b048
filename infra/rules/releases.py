"""What makes no sense where releases are rolled: there is one, and it is current."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from taskfleet.contract.manifest import AUTOMATIC

from infra.rules.problem import Problem

if TYPE_CHECKING:
    from infra.settings import Settings


def _rolling(settings: Settings) -> Iterator[Problem]:
    if not settings.is_rolled:
        return
    if settings.promotion.value != AUTOMATIC:
        yield Problem(
            setting="promotion",
            value=settings.promotion,
            rule="with releases=ROLLING the new workers serve as soon as they run: nobody is asked before",
            fix="leave it out, or use releases=Releases.VERSIONED",
        )
    if settings.before_gate:
        yield Problem(
            setting="before_gate",
            value=settings.before_gate,
            rule="with releases=ROLLING it would run after the new workers have begun to serve",
            fix="run it by hand before the deploy, or use releases=Releases.VERSIONED",
        )
    for name in ("canary", "bake_seconds"):
        if getattr(settings, name):
            yield Problem(
                setting=name,
                value=getattr(settings, name),
                rule="with releases=ROLLING there is no release beside the new one to go back to",
                fix="leave it out, or use releases=Releases.VERSIONED",
            )


RULES = (_rolling,)
