"""Something that is done again and again beside a drill."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self


class Beside:
    """Calls `step`, from a thread of its own, for as long as it is entered: at once, then every so often."""

    every_seconds = 1.0

    def step(self) -> None:
        """Once."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self.step()
            if self._over.wait(self.every_seconds):
                return
