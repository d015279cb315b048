"""``python -m local.broker``: the TLS front, until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import ssl
from pathlib import Path

from local.broker import control
from local.broker.front import Front


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.broker", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="where clients connect, with TLS")
    parser.add_argument("--upstream-port", type=int, required=True, help="where valkey-server listens")
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--moved", type=Path, help="the file that keeps the port which it was moved to")
    parser.add_argument("--control", type=Path, required=True, help="the control socket to make")
    return parser.parse_args()


async def _run(arguments: argparse.Namespace) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(arguments.certificate, arguments.key)
    front = Front(
        port=arguments.port, upstream_port=arguments.upstream_port, context=context, moved=arguments.moved
    )
    front.listen()
    server = await control.serve(front, arguments.control)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    server.close()
    await front.close()
    arguments.control.unlink(missing_ok=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    asyncio.run(_run(_arguments()))
