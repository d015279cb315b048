"""The worker's side of `taskfleet.brokers.redis.renewing`: tells that process what to do."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from taskfleet.brokers.redis import renewing
from taskfleet.brokers.redis.commands import Keys, Lease, renew
from taskfleet.brokers.watched import Watched

logger = logging.getLogger(__name__)


class Renewal:
    """The renewing process of one session. Its methods raise nothing: the session renews by itself, too."""

    def __init__(self, params: Mapping[str, Any], keys: Keys, lease: Lease) -> None:
        self._params, self._keys, self._lease = params, keys, lease
        self._process = Watched(renewing.__file__)

    def renewed(self, sessions: Iterable[str]) -> None:
        """These were renewed just now: the process waits for the next time, or takes over."""
        try:
            self._process.start()
            self._process.tell(self._told(sessions))
        except Exception as error:  # noqa: BLE001 - whatever it is: it is tried again in a few seconds
            logger.warning("Cannot reach the process that renews the lease of this worker: %r", error)
            self.end()

    def end(self) -> None:
        """Nothing is held any more."""
        self._process.end()

    def _told(self, sessions: Iterable[str]) -> dict[str, Any]:
        known, provider = self._params, self._params.get("credential_provider")
        log_in = (
            (known.get("username"), known.get("password")) if provider is None else provider.get_credentials()
        )
        tls = {name: value for name, value in known.items() if name.startswith("ssl_")}
        return {
            "host": known["host"],
            "port": known["port"],
            "database": known.get("db"),
            "tls": tls or None,
            "log_in": [part for part in log_in if part],
            "commands": [renew(self._keys, self._lease, session) for session in sessions],
            "every": self._lease.beat_seconds,
            "after": self._lease.beat_seconds * 1.5,
        }
