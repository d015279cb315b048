"""Where each run is, a chunked one or an item's in a pipeline: a durable record, which no crash forks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from taskfleet.contract import tools as keys
from taskfleet.tools.ranges import Place
from taskfleet.tools.table import Table

# How long the record of a run that ended can be read, and of one that nobody works on.
KEEP_SECONDS = 30 * 24 * 3600


class State(StrEnum):
    """What becomes of the next step's message."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    DONE = "done"


@dataclass(frozen=True)
class Run:
    """``step`` is the number of the chunk that is next, from 0; ``published`` is that of the last message."""

    id: str
    task: str
    queue: str
    place: Place
    state: State
    step: int
    published: int
    begun_at: float
    at: float
    problem: str = ""


class Runs:
    """Of one environment. Errors of AWS pass through as they are."""

    def __init__(self, dynamodb: Any, environment: str, clock: Callable[[], float] = time.time) -> None:
        self._table, self._clock = Table(dynamodb, environment), clock

    def _key(self, run: str) -> str:
        return keys.chunked(run)

    def _listing(self, run: str) -> str:
        """The key of the list that the run is on until it ends."""
        return keys.CHUNKED

    def create(self, run: str, task: str, queue: str, place: Place) -> bool:
        """Whether it is new; a run of that id that there is already stays as it is."""
        now = int(self._clock())
        content = {
            keys.KEY: self._key(run),
            "task": task,
            "queue": queue,
            "place": json.dumps(place),
            "state": State.RUNNING.value,
            "step": 0,
            "published": -1,
            "begun_at": now,
            "at": now,
            keys.EXPIRES: now + KEEP_SECONDS,
        }
        # Listed first: a crash between the two must not leave a run that nobody can see.
        self._list("ADD", run)
        return self._table.put(content, condition="attribute_not_exists(#step)")

    def read(self, run: str) -> Run | None:
        """None if there is none, or its record has expired."""
        item = self._table.get(self._key(run))
        if not item:
            return None
        return Run(
            id=run,
            task=item["task"],
            queue=item["queue"],
            place=json.loads(item["place"]),
            state=State(item["state"]),
            step=int(item["step"]),
            published=int(item["published"]),
            begun_at=float(item["begun_at"]),
            at=float(item["at"]),
            problem=item.get("problem", ""),
        )

    def listed(self) -> Iterator[Run]:
        """Those that have not ended."""
        return self._on(keys.CHUNKED)

    def _on(self, listing: str) -> Iterator[Run]:
        for run in sorted(self._table.get(listing).get("runs", ())):
            found = self.read(run)
            if found is not None and found.state in (State.RUNNING, State.PAUSED):
                yield found

    def advance(
        self, run: Run, place: Place | None, task: str | None = None, queue: str | None = None
    ) -> None:
        """The step is done: the next is at ``place``, of ``task`` in ``queue``; after None there is none."""
        if place is None:
            self._update(run.id, "#state = :state", {":state": State.DONE.value})
            self._list("DELETE", run.id)
            return
        self._update(
            run.id,
            "#place = :place, #step = :next, #problem = :none, #task = :task, #queue = :queue",
            {
                ":place": json.dumps(place),
                ":next": run.step + 1,
                ":none": "",
                ":before": run.step,
                ":task": task or run.task,
                ":queue": queue or run.queue,
            },
            condition="#step = :before",
        )

    def was_published(self, run: str, step: int) -> None:
        """The message of this step was accepted by a broker."""
        self._update(run, "#published = :step", {":step": step})

    def has_problem(self, run: str, says: str) -> None:
        """A chunk raised; the task's retries go on with it."""
        self._update(run, "#problem = :says", {":says": says[:500]})

    def become(self, run: str, state: State) -> bool:
        """Pause, go on, or end it; whether it had not ended."""
        changed = self._update(
            run,
            "#state = :state",
            {":state": state.value, ":running": State.RUNNING.value, ":paused": State.PAUSED.value},
            condition="#state IN (:running, :paused)",
        )
        if changed and state is State.CANCELLED:
            self._list("DELETE", run)
        return changed

    def _update(
        self, run: str, changes: str, values: dict[str, Any], condition: str = "attribute_exists(#step)"
    ) -> bool:
        now = int(self._clock())
        return self._table.update(
            self._key(run),
            f"SET {changes}, #at = :now, #{keys.EXPIRES} = :expires",
            {":now": now, ":expires": now + KEEP_SECONDS, **values},
            condition=condition,
        )

    def _list(self, action: str, run: str) -> None:
        self._table.update(self._listing(run), f"{action} #runs :run", {":run": {run}})
