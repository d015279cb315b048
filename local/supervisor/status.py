"""What runs, in a file: written at every change, read by `make up`, `make down` and whoever wants to know."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path


class State(StrEnum):
    """Of one process."""

    WAITING = "waiting"  # for another process, or for something that is not deployed yet
    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"  # it died; it is started again in a moment
    STOPPED = "stopped"


@dataclass
class ChildStatus:
    """One process. ``started`` is the kernel's start time of ``pid``: the number alone may be reused."""

    state: State = State.WAITING
    pid: int | None = None
    started: int | None = None
    restarts: int = 0
    cost: str = ""  # what its deaths may have taken with them
    note: str = ""

    @property
    def waits(self) -> bool:
        """It waits for a deployment, which needs the others to run first."""
        return self.state is State.WAITING and bool(self.note)


@dataclass
class Status:
    """The supervisor and its children. ``failed`` says why it gave up, and what to do."""

    supervisor: int
    children: dict[str, ChildStatus] = field(default_factory=dict)
    failed: str | None = None

    def write(self, path: Path) -> None:
        """Replace the file as a whole."""
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self), indent=1))
        os.replace(partial, path)

    @classmethod
    def read(cls, path: Path) -> Status | None:
        """None if there is none, or not one of ours."""
        try:
            data = json.loads(path.read_text())
            children = {
                name: ChildStatus(**{**child, "state": State(child["state"])})
                for name, child in data["children"].items()
            }
            return cls(supervisor=data["supervisor"], children=children, failed=data["failed"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
