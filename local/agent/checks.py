"""Run a container's health check again and again; `health` says what the results mean."""

from __future__ import annotations

import logging
import time
from asyncio import sleep, timeout
from collections.abc import Callable
from pathlib import Path

from local.agent import process
from local.agent.definitions import HealthCheck
from local.agent.health import Health, Verdict, after, next_check_seconds

_log = logging.getLogger(__name__)


class Checks:
    """The checks of one container: run as its command is, with its environment, in its directory."""

    def __init__(self, label: str, *, private: Path, changed: Callable[[], None]) -> None:
        self._label, self._private, self._changed = label, private, changed
        self._verdict = Verdict()
        self._said = ""

    @property
    def health(self) -> Health:
        """What the checks say so far."""
        return self._verdict.health

    async def run(self, check: HealthCheck, *, environment: dict[str, str], directory: Path) -> None:
        """For ever; cancel it when the container stops. ``changed`` is called when the health has changed."""
        begun = time.monotonic()
        while True:
            await sleep(next_check_seconds(self._verdict, check, age_seconds=time.monotonic() - begun))
            passed = await self._passes(check, environment, directory)
            before = self.health
            self._verdict = after(self._verdict, check, passed=passed, age_seconds=time.monotonic() - begun)
            if self.health is not before:
                self._tell()
                self._changed()

    def _tell(self) -> None:
        if self.health is Health.UNHEALTHY:
            _log.warning("%s: unhealthy; its last check said: %s", self._label, self._said or "nothing")
        else:
            _log.info("%s: healthy", self._label)

    async def _passes(self, check: HealthCheck, environment: dict[str, str], directory: Path) -> bool:
        try:
            code, self._said = await self._once(check, environment, directory)
        except TimeoutError:
            self._said = f"no answer within {check.timeout_seconds:g} s"
            return False
        except OSError as error:  # the machine has no process or file left for it
            self._said = f"could not be run: {error}"
            return False
        return code == 0

    async def _once(
        self, check: HealthCheck, environment: dict[str, str], directory: Path
    ) -> tuple[int, str]:
        """Exit code and the end of what it printed. Raises TimeoutError."""
        output = self._private / "health.log"
        output.unlink(missing_ok=True)
        run = await process.start(
            check.command,
            environment=environment,
            directory=directory,
            log=output,
            pid_file=self._private / "health.pid",
        )
        try:
            async with timeout(check.timeout_seconds):
                code = await run.wait()
        finally:
            run.kill()
        return code, output.read_text(errors="replace").strip()[-300:]
