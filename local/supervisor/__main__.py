"""``python -m local.supervisor``: run the local fleet's processes until SIGTERM. `make up` starts it."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import sys

from local import log_sizes
from local.broker import tokens
from local.places import Places
from local.ports import Ports
from local.supervisor import fleet
from local.supervisor.child import Child, Hopeless
from local.supervisor.status import Status

_log = logging.getLogger("supervisor")


class Supervisor:
    """All children of one local folder."""

    def __init__(self, places: Places, ports: Ports) -> None:
        self._places, self._ports = places, ports
        self._status = Status(supervisor=os.getpid())
        self._children: dict[str, Child] = {}
        for spec in fleet.specs(places, ports):
            log = places.logs / f"{spec.name}.log"
            self._children[spec.name] = child = Child(spec, log=log, changed=self._write)
            self._status.children[spec.name] = child.status
        self._write()

    def _write(self) -> None:
        self._status.write(self._places.status)

    async def run(self) -> int:
        """Until told to stop, or until there is no hope; everything has ended then."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        running = [asyncio.create_task(child.run(self._children)) for child in self._children.values()]
        running.append(asyncio.create_task(tokens.follow(self._ports)))
        running.append(asyncio.create_task(log_sizes.keep_small(self._places)))
        told = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([told, *running], return_when=asyncio.FIRST_COMPLETED)
        code = 0
        for task in done - {told}:
            code = 1
            error = task.exception()
            self._status.failed = (
                str(error) if isinstance(error, Hopeless) else f"{type(error).__name__}: {error}"
            )
            _log.error("%s", self._status.failed, exc_info=None if isinstance(error, Hopeless) else error)
        await self._stop(running)
        return code

    async def _stop(self, running: list[asyncio.Task[None]]) -> None:
        _log.info("stopping")
        for together in fleet.STOP_ORDER:
            await asyncio.gather(*(self._children[name].stop() for name in together))
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        _log.info("everything has ended")


def main() -> int:
    """Exit code 2 if a supervisor already has this folder."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
    )
    places = Places.from_environment()
    places.logs.mkdir(parents=True, exist_ok=True)
    ports = Ports.load(places.ports) or Ports.choose(places.ports)
    ports.reserve()
    with places.supervisor_pid.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.error("another supervisor runs in %s: `make down` ends it", places.root)
            return 2
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        return asyncio.run(Supervisor(places, ports).run())


if __name__ == "__main__":
    sys.exit(main())
