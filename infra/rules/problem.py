"""One broken rule, in the form that every settings error has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Which setting has which value, the rule that it breaks, and what to do."""

    setting: str  # as it is written, e.g. `pool low: limits.stop_timeout_seconds`
    value: object
    rule: str
    fix: str

    def __str__(self) -> str:
        return f"{self.setting} = {self.value!r}: {self.rule}. Fix: {self.fix}."
