"""The worker's side of `taskfleet.brokers.redis.renewing`: starts that process, and tells it what to do."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from taskfleet.brokers.redis import renewing
from taskfleet.brokers.redis.commands import Keys, Lease, renew

logger = logging.getLogger(__name__)

# All that it needs of the environment; the password goes by the pipe, where nobody else can read it.
_ENVIRONMENT = ("SSL_CERT_FILE", "SSL_CERT_DIR")
END_SECONDS = 1.0


class Renewal:
    """The renewing process of one session. Its methods raise nothing: the session renews by itself, too."""

    def __init__(self, params: Mapping[str, Any], keys: Keys, lease: Lease) -> None:
        self._params, self._keys, self._lease = params, keys, lease
        self._process: subprocess.Popen[bytes] | None = None

    def renewed(self, sessions: Iterable[str]) -> None:
        """These were renewed just now: the process waits for the next time, or takes over."""
        try:
            self._write(self._line(sessions))
        except Exception as error:  # noqa: BLE001 - whatever it is: it is tried again in a few seconds
            logger.warning("the process that renews a busy worker's lease could not be told: %r", error)
            self.end()

    def end(self) -> None:
        """Nothing is held any more."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            process.stdin.close()  # type: ignore[union-attr]
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _write(self, line: bytes) -> None:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", renewing.__file__],
                stdin=subprocess.PIPE,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            )
            # One that reads no more must not stop who writes.
            os.set_blocking(self._process.stdin.fileno(), False)  # type: ignore[union-attr]
        if os.write(self._process.stdin.fileno(), line) < len(line):  # type: ignore[union-attr]
            raise BlockingIOError("it does not read")

    def _line(self, sessions: Iterable[str]) -> bytes:
        known, provider = self._params, self._params.get("credential_provider")
        log_in = (
            (known.get("username"), known.get("password")) if provider is None else provider.get_credentials()
        )
        tls = {name: value for name, value in known.items() if name.startswith("ssl_")}
        told = {
            "host": known["host"],
            "port": known["port"],
            "database": known.get("db"),
            "tls": tls or None,
            "log_in": [part for part in log_in if part],
            "commands": [renew(self._keys, self._lease, session) for session in sessions],
            "every": self._lease.beat_seconds,
            "after": self._lease.beat_seconds * 1.5,
        }
        return json.dumps(told).encode() + b"\n"
