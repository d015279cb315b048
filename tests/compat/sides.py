"""How each side of a cell is started: environment and command lines, of stock Celery and of the fleet."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taskfleet.contract import environment as env

from tests.compat import app as names
from tests.compat.feature import Cell

APP = "tests.compat.app:app"
CELERY = str(Path(sys.executable).with_name("celery"))
RELEASE = "r1"
# `low` is where tasks go that name no queue; on stock that is `celery`. The `own` ones belong to workers that
# a feature starts for itself; nobody consumes `parked`.
SHARED = ("low", "high", "feeds")
OWN = tuple(f"own{number}" for number in range(140))
QUEUES = (*SHARED, "parked", *OWN)
SLOTS = {"prefork": 6, "threads": 16, "gevent": 30}


@dataclass(frozen=True)
class Side:
    """One side of a cell: ``name`` is `stock` or `fleet`, ``environment`` what its producers have.

    ``redis`` is the URL of the Redis where its messages are, without TLS.
    """

    name: str
    cell: Cell
    environment: Mapping[str, str]
    worker_environment: Mapping[str, str]
    redis: str

    @property
    def is_fleet(self) -> bool:
        """Whether ``install`` has been called."""
        return self.name == names.FLEET

    def to_json(self) -> str:
        """For the environment of a process."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Side:
        """What `to_json` made."""
        fields = json.loads(text)
        return cls(**{**fields, "cell": Cell(**fields["cell"])})

    def main_environment(self) -> dict[str, str]:
        """Of the long-lived worker."""
        return self.worker(queues=SHARED, slots=SLOTS[self.cell.pool], pool="low")

    def main_command(self) -> list[str]:
        """Of the long-lived worker."""
        return self.worker_command(queues=SHARED, slots=SLOTS[self.cell.pool], name="low")

    def worker(self, *, queues: tuple[str, ...], slots: int, pool: str, **more: str) -> dict[str, str]:
        """The environment of a worker."""
        found = {**self.environment, **self.worker_environment}
        if self.is_fleet:
            found |= {
                env.QUEUES.name: ",".join(queues),
                env.CONCURRENCY.name: str(slots),
                env.POOL.name: pool,
            }
        return found | more

    def worker_command(
        self, *, queues: tuple[str, ...], slots: int | None, name: str, arguments: tuple[str, ...] = ()
    ) -> list[str]:
        """As the image starts one; in stock as the guide does."""
        if self.is_fleet:
            return [sys.executable, "-m", "taskfleet", "worker", *arguments]
        consumed = ",".join("celery" if queue == "low" else queue for queue in queues)
        return [
            *(CELERY, "-A", APP, "worker", "-l", "INFO", "-n", f"{name}@%h"),
            *(("-P", self.cell.pool) if not any(each in ("-P", "--pool") for each in arguments) else ()),
            *(("-c", str(slots)) if slots else ()),
            *(("-Q", consumed) if queues else ()),
            *arguments,
        ]

    def beat_command(self, arguments: tuple[str, ...] = (), application: str = APP) -> list[str]:
        """As the image starts it; in stock as the guide does."""
        if self.is_fleet:
            return [sys.executable, "-m", "taskfleet", "beat", *arguments]
        return [CELERY, "-A", application, "beat", "-l", "INFO", *arguments]

    def node(self, name: str = "low") -> str:
        """The node name of a worker, without its host."""
        return f"{name}.{RELEASE}.primary" if self.is_fleet else name

    def with_configuration(self, configuration: Mapping[str, Any], **more: str) -> dict[str, str]:
        """Variables of a process whose application says this besides."""
        return {names.CONFIGURATION: json.dumps(dict(configuration)), **more}
