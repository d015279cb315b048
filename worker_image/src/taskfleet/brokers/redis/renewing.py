"""How the process of `taskfleet.brokers.watching` renews a worker's lease on Redis.

With nothing but the standard library. What the worker says, each time that it has renewed; when the next such
line is overdue, this does the same: ``{"host", "port", "tls": {…} or null, "log_in": […] or null, "database",
"commands": [[…]], "every": seconds, "after": seconds}``
"""

from __future__ import annotations

import json
import socket
import ssl
import time
from typing import Any

ANSWER_SECONDS = 2.0


class Redis:
    """One connection, as much of the protocol as is needed: commands as lists, and whether all went well."""

    def __init__(self, known: dict[str, Any]) -> None:
        plain = socket.create_connection((known["host"], known["port"]), ANSWER_SECONDS)
        tls = known["tls"]
        self._socket = (
            plain if tls is None else _context(tls).wrap_socket(plain, server_hostname=known["host"])
        )
        self._replies = self._socket.makefile("rb")
        if known["log_in"]:
            self.run(["AUTH", *known["log_in"]])
        if known["database"]:
            self.run(["SELECT", str(known["database"])])

    def run(self, command: list[str]) -> None:
        """Raises OSError if it is not answered, or answered with an error."""
        parts = [part.encode() for part in command]
        head = [b"*%d\r\n" % len(parts)]
        self._socket.sendall(b"".join(head + [b"$%d\r\n%s\r\n" % (len(part), part) for part in parts]))
        self._read()

    def _read(self) -> None:
        line = self._replies.readline()
        kind, rest = line[:1], line[1:].strip()
        if kind in (b"", b"-"):
            raise OSError(rest.decode(errors="replace") or "the connection is closed")
        if kind == b"$" and int(rest) >= 0:
            self._replies.read(int(rest) + 2)
        elif kind == b"*":
            for _ in range(int(rest)):
                self._read()

    def close(self) -> None:
        self._socket.close()


def _context(tls: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.get("ssl_ca_certs"))
    if tls.get("ssl_cert_reqs") in ("none", None):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    elif tls.get("ssl_check_hostname") is False:
        context.check_hostname = False
    if tls.get("ssl_certfile"):
        context.load_cert_chain(tls["ssl_certfile"], tls.get("ssl_keyfile"))
    return context


class Renewing:
    """Of one session."""

    def __init__(self) -> None:
        self.due = float("inf")
        self._known: dict[str, Any] = {}
        self._connection: Redis | None = None

    def told(self, known: dict[str, Any]) -> None:
        """The worker has renewed just now."""
        self._known, self.due = known, time.monotonic() + known["after"]
        self._close()  # the next one may need another password

    def renew(self) -> None:
        """It has not, so this does."""
        self.due = time.monotonic() + self._known["every"]
        try:
            self._connection = self._connection or Redis(self._known)
            for command in self._known["commands"]:
                self._connection.run(command)
        except (OSError, ValueError) as error:
            line = {"level": "WARNING", "message": f"a busy worker's lease could not be renewed: {error}"}
            print(json.dumps(line), flush=True)
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
