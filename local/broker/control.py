"""Tell the front how to fail: ``python -m local.broker.control blackhole``, and ``pass`` to heal.

Over a unix socket in the local folder; one line of JSON each way::

    → {"fault": "delay", "seconds": 0.2}
    ← {"ok": true, "connections": 7}
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from local.broker.faults import Command, Fault
from local.broker.front import Front
from local.places import Places


def send(
    path: Path, fault: Fault, *, seconds: float = 0.0, port: int = 0, timeout_seconds: float = 5.0
) -> dict[str, Any]:
    """Let the front whose control socket is ``path`` fail so. Raises ``OSError`` if there is none,
    ``ValueError`` if it refuses."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_seconds)
        connection.connect(str(path))
        connection.sendall(json.dumps({"fault": fault, "seconds": seconds, "port": port}).encode() + b"\n")
        answer: dict[str, Any] = json.loads(connection.makefile("rb").readline())
    if not answer.get("ok"):
        raise ValueError(answer.get("error"))
    return answer


async def serve(front: Front, path: Path) -> asyncio.Server:
    """Take commands for ``front`` at ``path``. Raises ``OSError`` if that is too long for a socket."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        try:
            await front.apply(Command.parse(json.loads(line)))
            reply: dict[str, Any] = {"ok": True, "connections": len(front.links)}
        except (ValueError, OSError) as error:
            reply = {"ok": False, "error": str(error)}
        writer.write(json.dumps(reply).encode() + b"\n")
        await writer.drain()
        writer.close()

    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(answer, path)
    os.chmod(path, 0o600)
    return server


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m local.broker.control", description=__doc__)
    parser.add_argument("fault", type=Fault, choices=list(Fault))
    parser.add_argument("--seconds", type=float, default=0.0, help="for `delay`")
    given = parser.parse_args()
    try:
        answer = send(Places.from_environment().front_control, given.fault, seconds=given.seconds)
    except (OSError, ValueError) as error:
        print(f"the front did not take it: {error} (is the fleet up? make up)", file=sys.stderr)
        return 1
    print(f"{given.fault}: {answer['connections']} connections")
    return 0


if __name__ == "__main__":
    sys.exit(main())
