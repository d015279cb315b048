"""The emulated account with Taskfleet's shims, as `make up` starts it, for tests of what acts on it."""

from __future__ import annotations

import subprocess
import sys

from tests.support.ministack import MiniStack
from tests.support.processes import wait_for


class Account(MiniStack):
    """Started with ``python -m local.emulator``; what it holds outlives a kill."""

    def start(self) -> None:
        """Start it on its port, and return when it answers."""
        command = [sys.executable, "-m", "local.emulator", "--port", str(self.port)]
        with (self._folder / "emulator.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--account", str(self._folder / "account")], stdout=log, stderr=log
            )
        wait_for(self.answers, seconds=60, what=f"the emulated account on port {self.port}")
