"""A small process that renews a worker's lease while the worker itself can't.

Tasks in threads and greenlets share the worker's process: a call that holds Python's lock, or a computation
that does not yield, stops the thread that renews as well, and others would run what this worker runs. This
file is run by itself, with nothing but the standard library. The worker writes what to do to its standard
input, a JSON object a line, each time that it has renewed; when such a line is overdue, this does the same.
It ends with the worker, and renews nothing for one that was stopped (SIGSTOP).

``{"host", "port", "tls": {…} or null, "log_in": […] or null, "database", "commands": [[…]], "every": seconds,
"after": seconds}``
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import ssl
import time
from typing import Any

ANSWER_SECONDS = 2.0
_STOPPED = "TtZX"  # proc(5): stopped, traced, dead


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


def is_stopped(pid: int) -> bool:
    """Whether the process was stopped. Where there is no /proc, nobody knows, and it counts as running."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] in _STOPPED
    except OSError:
        return False


def renew(known: dict[str, Any], connection: Redis | None) -> Redis | None:
    """Run the commands; the connection to go on with, None if it failed."""
    try:
        connection = connection or Redis(known)
        for command in known["commands"]:
            connection.run(command)
        return connection
    except (OSError, ValueError) as error:
        line = {"level": "WARNING", "message": f"a busy worker's lease could not be renewed: {error}"}
        print(json.dumps(line), flush=True)
        if connection is not None:
            connection.close()
        return None


def main() -> None:
    """Until standard input ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # they are the worker's, which has things to end
    worker, known, connection, text, due = os.getppid(), None, None, b"", float("inf")
    while os.getppid() == worker:
        wait = min(max(0.0, due - time.monotonic()), 60.0)
        if select.select([0], [], [], wait)[0]:
            more = os.read(0, 65536)
            if not more:
                return
            *lines, text = (text + more).split(b"\n")
            if lines:
                known = json.loads(lines[-1])
                due = time.monotonic() + known["after"]
                if connection is not None:
                    connection.close()  # the next one may need another password
                    connection = None
        elif known is not None and time.monotonic() >= due:
            due = time.monotonic() + known["every"]
            if not is_stopped(worker):
                connection = renew(known, connection)


if __name__ == "__main__":
    main()
