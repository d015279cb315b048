"""What can't be right in an environment's settings: one rule each, all broken ones reported at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from taskfleet.errors import SettingsError

from infra.rules import (
    access,
    account,
    alarms,
    application,
    broker,
    capacity,
    existing,
    image,
    judging,
    naming,
    network,
    releases,
    results,
    secrets,
    times,
    types,
    variables,
)
from infra.rules.problem import Problem

if TYPE_CHECKING:
    from infra.settings import Settings

RULES: tuple[Callable[[Settings], Iterator[Problem]], ...] = (
    *naming.RULES,
    *account.RULES,
    *application.RULES,
    *network.RULES,
    *existing.RULES,
    *broker.RULES,
    *results.RULES,
    *image.RULES,
    *releases.RULES,
    *capacity.RULES,
    *times.RULES,
    *judging.RULES,
    *alarms.RULES,
    *variables.RULES,
    *secrets.RULES,
    *access.RULES,
)

placeholder_account = account.placeholder
unpaged = account.unpaged
pages_nobody = account.pages_nobody
overlaps = network.overlaps


def remarks(settings: Settings) -> list[str]:
    """What is allowed, and still not what a reader may expect."""
    return [*times.remarks(settings), *account.remarks(settings)]


def problems(settings: Settings) -> list[Problem]:
    """Every rule that the settings break; types first, since other rules count on them."""
    return types.problems(settings) or [problem for rule in RULES for problem in rule(settings)]


def check(settings: Settings) -> None:
    """Raise ``SettingsError`` naming every bad value, its rule and the fix."""
    found = problems(settings)
    if found:
        lines = "\n".join(f"- {problem}" for problem in found)
        count = "one setting" if len(found) == 1 else f"{len(found)} settings"
        raise SettingsError(
            f"the environment {settings.name!r} has {count} that can't be right "
            f"(infra/environments.py):\n{lines}"
        )
