"""Which release the tasks of a group go to: that of the first, also when another becomes current meanwhile.

A group, and a chord's header, is published task by task: a promotion in between would run one workflow on two
versions of its code. Their messages name the group.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from taskfleet import boot_clock
from taskfleet.contract.leases import LEASE_SECONDS

# Of this process, the newest: a group is published in a moment.
MOST_GROUPS = 1000


class GroupReleases:
    """Safe for threads. What was not used for as long as a lease is forgotten: the process was suspended."""

    def __init__(self, clock: Callable[[], float] = boot_clock.now) -> None:
        self._lock, self._clock = threading.Lock(), clock
        self._releases: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def of(self, options: dict[str, Any]) -> str | None:
        """The release of the group that this publish belongs to; None for its first, or of no group."""
        group = _group(options)
        release, at = (group and self._releases.get(group)) or (None, 0.0)
        return release if release is None or self._clock() - at <= LEASE_SECONDS else None

    def note(self, options: dict[str, Any], release: str) -> None:
        """What its first task was published to; or another, where that takes no task any more."""
        group = _group(options)
        if group is None:
            return
        with self._lock:
            self._releases[group] = release, self._clock()
            while len(self._releases) > MOST_GROUPS:
                self._releases.popitem(last=False)

    def forget(self, options: dict[str, Any]) -> None:
        """Its release is retired: the rest goes to the current one."""
        group = _group(options)
        if group is not None:
            with self._lock:
                self._releases.pop(group, None)


def _group(options: dict[str, Any]) -> str | None:
    group = (options.get("headers") or {}).get("group")
    return group if isinstance(group, str) else None
