"""Rates that an operator sets at run time (`fleet rate`): one item of the tools table, which workers read.

Only `fleet` changes what is set, so a change is a new version of the whole, written if nobody wrote another
meanwhile. Workers add which rates there are, so that a name with a mistake in it is refused.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from taskfleet.contract import tools as keys
from taskfleet.errors import TaskfleetError
from taskfleet.tools.table import Table

# A worker reads again so often: a change reaches every run that begins or that has its turn after that.
READ_EVERY_SECONDS = 10.0
MOST_CHANGES = 50
_KNOWN = "known:"


@dataclass(frozen=True)
class Setting:
    """What applies instead of what the decorator says; ``version`` is that of the change."""

    allowed: str
    burst: int
    version: int


@dataclass(frozen=True)
class Change:
    """One line of the history. ``key`` is of one value of the arguments, "" for all; None: was reset."""

    at: float
    actor: str
    reason: str
    name: str
    key: str
    allowed: str | None
    burst: int | None = None


@dataclass(frozen=True)
class Settings:
    """``known``: rate → as it is declared; ``chosen``: rate → key → setting; ``changes``, newest first."""

    version: int = 0
    known: Mapping[str, str] = field(default_factory=dict)
    chosen: Mapping[str, Mapping[str, Setting]] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()

    def of(self, name: str, key: str) -> Setting | None:
        """What is set for this key; else for all keys of the rate; None: what is declared applies."""
        of_rate = self.chosen.get(name, {})
        return of_rate.get(key) or of_rate.get("")

    def changed(self, change: Change) -> Settings:
        """After it. Raises `TaskfleetError` for a rate that no worker has told of, or that is not set."""
        if change.name not in self.known:
            known = ", ".join(sorted(self.known)) or "none yet"
            raise TaskfleetError(
                f"no worker has met a rate {change.name!r}; known: {known}. "
                "A rate is known once a task with it has run"
            )
        of_rate = dict(self.chosen.get(change.name, {}))
        if change.allowed is None:
            if of_rate.pop(change.key, None) is None:
                where = f" for {change.key}" if change.key else ""
                raise TaskfleetError(f"{change.name} is not set{where}: {self.known[change.name]} applies")
        else:
            of_rate[change.key] = Setting(change.allowed, change.burst or 1, self.version + 1)
        chosen = {name: each for name, each in {**self.chosen, change.name: of_rate}.items() if each}
        return replace(
            self,
            version=self.version + 1,
            chosen=chosen,
            changes=(change, *self.changes)[:MOST_CHANGES],
        )


class RateSettings:
    """Of one environment. Errors of AWS pass through as they are."""

    def __init__(self, dynamodb: Any, environment: str, clock: Callable[[], float] = time.time) -> None:
        self._table, self._clock = Table(dynamodb, environment), clock

    def read(self) -> Settings:
        """As they are now."""
        item = self._table.get(keys.RATES)
        chosen = json.loads(item.get("chosen", "{}"))
        return Settings(
            version=int(item.get("version", 0)),
            known={name[len(_KNOWN) :]: text for name, text in item.items() if name.startswith(_KNOWN)},
            chosen={
                name: {key: Setting(**setting) for key, setting in of_rate.items()}
                for name, of_rate in chosen.items()
            },
            changes=tuple(Change(**each) for each in json.loads(item.get("changes", "[]"))),
        )

    def is_known(self, name: str, declared: str) -> None:
        """A worker has met this rate."""
        self._table.update(
            keys.RATES, "SET #known = :declared", {":declared": declared}, attributes={"known": _KNOWN + name}
        )

    def change(
        self,
        name: str,
        key: str,
        allowed: str | None,
        burst: int | None,
        *,
        actor: str,
        reason: str,
        do: bool,
    ) -> Settings:
        """The settings before. Raises `TaskfleetError` as `Settings.changed`, and if another was quicker."""
        before = self.read()
        after = before.changed(Change(self._clock(), actor, reason, name, key, allowed, burst))
        chosen = {name: {key: asdict(each) for key, each in of.items()} for name, of in after.chosen.items()}
        if do and not self._table.update(
            keys.RATES,
            "SET #version = :version, #chosen = :chosen, #changes = :changes",
            {
                ":version": after.version,
                ":chosen": json.dumps(chosen),
                ":changes": json.dumps([asdict(each) for each in after.changes]),
                ":before": before.version,
            },
            condition="#version = :before" if before.version else "attribute_not_exists(#version)",
        ):
            raise TaskfleetError("somebody else changed the rates just now: look at them, and try again")
        return before
