"""Start MiniStack with the shims, under Hypercorn. Import it only once the environment is set."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path

from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config
from hypercorn.utils import LifespanFailureError

from local.emulator import journal, persistence, shims
from local.emulator.recorder import Recorder
from local.emulator.server import Server
from local.emulator.shims import autoscaling

_log = logging.getLogger("taskfleet.account")


def serve(*, port: int, broker_port: int, results_port: int, calls: Path | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit code of the process."""
    shims.register(broker_port=broker_port, results_port=results_port)
    persistence.register_shim(autoscaling.SERVICE, autoscaling.__name__)
    saver = None
    if persistence.enabled():
        journal.register()
        saver = persistence.Saver()
        saver.watch()
    server = Server(saver=saver, recorder=None if calls is None else Recorder(calls))
    try:
        asyncio.run(_run(port, server))
    except LifespanFailureError as error:
        if not server.interrupted:
            raise
        _log.error("%s", error)
        return 3
    return 0


async def _run(port: int, server: Server) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    config.graceful_timeout = 1
    await hypercorn_serve(server, config, shutdown_trigger=stop.wait)  # type: ignore[arg-type]
