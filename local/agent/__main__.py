"""``python -m local.agent``: run the services of the emulated account until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import signal
import sys

from local.agent import procfs, settings
from local.agent.agent import Agent
from local.agent.sweep import sweep

_log = logging.getLogger("local.agent")


def main() -> int:
    """Exit code 0 after an orderly end, 1 if another agent has the local directory."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
    )
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it counts changes; we name them
    mine = settings.read(sys.argv[1:])
    mine.local_directory.mkdir(parents=True, exist_ok=True)
    with (mine.local_directory / "agent.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.error(
                "another agent works in %s: stop it, or use another TASKFLEET_LOCAL_DIR", mine.local_directory
            )
            return 1
        if left := sweep(mine.tasks):
            _log.warning("killed what an agent before left behind: sessions %s", ", ".join(map(str, left)))
        if not procfs.available():
            _log.warning("no /proc on this machine: memory limits are not held")
        asyncio.run(_run(mine))
    return 0


async def _run(mine: settings.AgentSettings) -> None:
    agent = Agent(mine)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop)
    _log.info("the agent runs the services of %s", mine.endpoint)
    await agent.run()
    _log.info("the agent has ended")


if __name__ == "__main__":
    sys.exit(main())
