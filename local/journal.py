"""Following the journal that workers write on this machine (`drills.tasks.journal`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from drills.tasks.journal import FILE


class Journal:
    """The journal from now on: `read` gives what was written since the last time."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / FILE
        self._offset = self._file.stat().st_size if self._file.exists() else 0

    def read(self) -> list[dict[str, Any]]:
        """The new lines, in the order in which they were written."""
        if not self._file.exists():
            return []
        if self._file.stat().st_size < self._offset:
            self._offset = 0  # it began anew (`local.log_sizes`)
        with self._file.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        # The last line may still be being written.
        whole = text.rfind(b"\n") + 1
        self._offset += whole
        return [json.loads(line) for line in text[:whole].splitlines()]
