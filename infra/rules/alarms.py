"""When somebody is called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from infra.rules.problem import Problem

if TYPE_CHECKING:
    from infra.settings import Settings


def _dead_letters(settings: Settings) -> Iterator[Problem]:
    if settings.alarm_dead_letters < 1:
        yield Problem(
            setting="alarm_dead_letters",
            value=settings.alarm_dead_letters,
            rule="at least 1, or the alarm is always on",
            fix="1 calls somebody for each dead letter, 10 (the default) for ten within five minutes",
        )


RULES = (_dead_letters,)
