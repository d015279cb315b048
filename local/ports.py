"""The ports of a local fleet: chosen free once, then kept: the broker's is part of what is deployed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import socket
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

_PORTS = (20000, 32768)  # Linux gives outgoing connections those from 32768 on
_TRIES = 200
# One file for each port that a fleet will listen on, locked as long as its supervisor lives.
_RESERVED = Path(tempfile.gettempdir()) / f"taskfleet-ports-{os.getuid()}"
_HELD: list[IO[str]] = []


@dataclass(frozen=True)
class Ports:
    """All on 127.0.0.1. ``broker`` is the TLS front, ``valkey`` and ``replica`` the servers behind it.

    ``results`` is the front of the results' cache, ``results_valkey`` its server.
    """

    emulator: int
    broker: int
    valkey: int
    replica: int
    results: int
    results_valkey: int

    @classmethod
    def load(cls, path: Path) -> Ports | None:
        """None before the first `up`."""
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    @classmethod
    def choose(cls, path: Path) -> Ports:
        """Free ones, kept at ``path``."""
        with ExitStack() as held:  # all at once, so that they differ
            sockets = [held.enter_context(socket.socket()) for _ in range(6)]
            for one in sockets:
                bind(one)
            chosen = cls(*(one.getsockname()[1] for one in sockets))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(chosen)))
        return chosen

    def reserve(self) -> None:
        """No other fleet chooses them as long as this process lives, though nobody may listen on them yet."""
        _RESERVED.mkdir(exist_ok=True)
        for port in asdict(self).values():
            file = (_RESERVED / str(port)).open("w")
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _HELD.append(file)

    def taken(self) -> list[int]:
        """Those that another process listens on now."""
        found = []
        for port in asdict(self).values():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    found.append(port)
        return found


def bind(one: socket.socket) -> int:
    """Bind to a free loopback port; which one. Raises ``OSError`` if there is none.

    Outside the range that the kernel takes ports of outgoing connections from: what is chosen now and
    listened on a minute later must not be taken meanwhile.
    """
    for _ in range(_TRIES):
        port = random.randrange(*_PORTS)  # noqa: S311 - no secret
        if _is_reserved(port):
            continue
        with contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no free port found between {_PORTS[0]} and {_PORTS[1]}")


def _is_reserved(port: int) -> bool:
    try:
        with (_RESERVED / str(port)).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
