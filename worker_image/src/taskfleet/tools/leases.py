"""Who holds what, and until when: one DynamoDB item for each key, changed by conditional writes alone.

A lease has an owner (one run of a task), an end and a fencing token. It is renewed while the run lasts and
freed at its end; after a crash it is free once its end has passed. Clocks of hosts may differ by
`SKEW_SECONDS` before two could hold one lease; the token, which only grows, lets the resource that is written
to refuse the older holder all the same.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from taskfleet.contract import tools as keys
from taskfleet.tools.table import Table

SKEW_SECONDS = 5.0
# How long an item lives that nobody holds: its token must not begin anew, and grows with the clock anyhow.
KEEP_SECONDS = 24 * 3600
_TRIES = 8
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Lease:
    """Held by one run. ``fence`` is greater than that of every lease of ``key`` before it."""

    key: str
    owner: str
    fence: int


@dataclass(frozen=True)
class Item:
    """What the table says of one key. ``holders`` is owner → end, in seconds since the epoch."""

    version: int = 0
    fence: int = 0
    holders: Mapping[str, float] = field(default_factory=dict)
    done: str | None = None

    def taken(self, owner: str, *, most: int, now: float, until: float) -> Item | None:
        """With ``owner`` among its holders; None if ``most`` others have leases that may still last."""
        living = {one: end for one, end in self.holders.items() if end + SKEW_SECONDS > now}
        if len(living) >= most:
            return None
        token = max(self.fence + 1, int(now * 1_000_000))
        return replace(self, version=self.version + 1, fence=token, holders={**living, owner: until})


class Contended(Exception):
    """So many took leases of one key at the same time that none was got: try again later."""


@dataclass(frozen=True)
class Done:
    """The work of this key is done already; ``result`` is JSON."""

    result: str


class Leases:
    """Of one environment. Errors of AWS pass through as they are."""

    def __init__(self, dynamodb: Any, environment: str, clock: Callable[[], float] = time.time) -> None:
        self._table, self._clock = Table(dynamodb, environment), clock

    def take(self, key: str, *, most: int, seconds: float) -> Lease | Done | None:
        """A lease; `Done` if there is a result; None if ``most`` are held. May raise `Contended`."""
        owner = uuid.uuid4().hex
        for _ in range(_TRIES):
            item, now = self._read(key), self._clock()
            if item.done is not None:
                return Done(item.done)
            taken = item.taken(owner, most=most, now=now, until=now + seconds)
            if taken is None:
                return None
            if self._write(key, taken, expires=now + seconds + KEEP_SECONDS):
                return Lease(key, owner, taken.fence)
            time.sleep(random.uniform(0, _PAUSE_SECONDS))  # noqa: S311 - spreads load
        raise Contended(key)

    def renew(self, lease: Lease, seconds: float) -> bool:
        """Whether it is held still."""
        until = self._clock() + seconds
        return self._change(
            lease,
            f"SET #holders.#owner = :until, #{keys.EXPIRES} = :expires ADD #version :one",
            {":until": until, ":expires": until + KEEP_SECONDS},
        )

    def free(self, lease: Lease) -> bool:
        """End it; whether it was held still."""
        return self._change(lease, "REMOVE #holders.#owner ADD #version :one", {})

    def finish(self, lease: Lease, result: str, *, keep_seconds: float) -> bool:
        """End it and keep the result. If another did the work after the lease had ended, the first counts."""
        return self._change(
            lease,
            f"SET #done = if_not_exists(#done, :result), #{keys.EXPIRES} = :expires "
            "REMOVE #holders.#owner ADD #version :one",
            {":result": result, ":expires": self._clock() + keep_seconds},
            condition="attribute_exists(#holders)",
        )

    def _read(self, key: str) -> Item:
        item = self._table.get(key)
        if item and float(item[keys.EXPIRES]) < self._clock():
            item.pop("done", None)  # DynamoDB deletes within days of the end, not at it
        return Item(
            version=int(item.get("version", 0)),
            fence=int(item.get("fence", 0)),
            holders={owner: float(end) for owner, end in item.get("holders", {}).items()},
            done=item.get("done"),
        )

    def _write(self, key: str, item: Item, *, expires: float) -> bool:
        content = {
            keys.KEY: key,
            "version": item.version,
            "fence": item.fence,
            "holders": dict(item.holders),
            keys.EXPIRES: expires,
        }
        condition = "#version = :before" if item.version > 1 else "attribute_not_exists(#version)"
        return self._table.put(content, condition=condition, values={":before": item.version - 1})

    def _change(
        self,
        lease: Lease,
        update: str,
        values: Mapping[str, Any],
        *,
        condition: str = "attribute_exists(#holders.#owner)",
    ) -> bool:
        return self._table.update(
            lease.key, update, {":one": 1, **values}, condition=condition, attributes={"owner": lease.owner}
        )
