"""Where each chunked run is: a durable record, so that a crash neither stops nor forks it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from taskfleet.contract import names
from taskfleet.contract import tools as keys
from taskfleet.tools.ranges import Place

# How long the record of a run that ended can be read, and of one that nobody works on.
KEEP_SECONDS = 30 * 24 * 3600

_serialize, _deserialize = TypeSerializer().serialize, TypeDeserializer().deserialize


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
        self._dynamodb, self._table, self._clock = dynamodb, names.tools_table(environment), clock

    def create(self, run: str, task: str, queue: str, place: Place) -> bool:
        """Whether it is new; a run of that id that there is already stays as it is."""
        now = self._clock()
        content = {
            keys.KEY: keys.chunked(run),
            "task": task,
            "queue": queue,
            "place": json.dumps(place),
            "state": State.RUNNING.value,
            "step": 0,
            "published": -1,
            "begun_at": int(now),
            "at": int(now),
            keys.EXPIRES: int(now + KEEP_SECONDS),
        }
        new = self._conditional(
            self._dynamodb.put_item,
            Item=_wire(content),
            ConditionExpression="attribute_not_exists(#step)",
            ExpressionAttributeNames={"#step": "step"},
        )
        self._list("ADD", run)
        return new

    def read(self, run: str) -> Run | None:
        """None if there is none, or its record has expired."""
        reply = self._dynamodb.get_item(
            TableName=self._table, Key=_wire({keys.KEY: keys.chunked(run)}), ConsistentRead=True
        )
        item = {name: _deserialize(value) for name, value in reply.get("Item", {}).items()}
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
        reply = self._dynamodb.get_item(
            TableName=self._table, Key=_wire({keys.KEY: keys.CHUNKED}), ConsistentRead=True
        )
        for run in sorted(reply.get("Item", {}).get("runs", {}).get("SS", ())):
            found = self.read(run)
            if found is not None:
                yield found

    def advance(self, run: Run, place: Place | None) -> None:
        """The step is done: the next one is at ``place``, and after None there is none."""
        if place is None:
            self._update(run.id, "SET #state = :state, #at = :now", {":state": State.DONE.value})
            self._list("DELETE", run.id)
            return
        self._update(
            run.id,
            "SET place = :place, #step = :next, #at = :now, problem = :none, #expires = :expires",
            {":place": json.dumps(place), ":next": run.step + 1, ":none": "", ":before": run.step},
            condition="#step = :before",
        )

    def was_published(self, run: str, step: int) -> None:
        """The message of this step was accepted by a broker."""
        self._update(run, "SET published = :step, #at = :now, #expires = :expires", {":step": step})

    def has_problem(self, run: str, says: str) -> None:
        """A chunk raised; the task's retries go on with it."""
        self._update(run, "SET problem = :says, #at = :now, #expires = :expires", {":says": says[:500]})

    def become(self, run: str, state: State) -> bool:
        """Pause, go on, or end it; whether it had not ended."""
        changed = self._update(
            run,
            "SET #state = :state, #at = :now, #expires = :expires",
            {":state": state.value, ":running": State.RUNNING.value, ":paused": State.PAUSED.value},
            condition="#state IN (:running, :paused)",
        )
        if changed and state is State.CANCELLED:
            self._list("DELETE", run)
        return changed

    def _update(self, run: str, update: str, values: dict[str, Any], condition: str = "") -> bool:
        expression = condition or "attribute_exists(#step)"
        now = int(self._clock())
        given = {":now": now, ":expires": now + KEEP_SECONDS, **values}
        known = {"#state": "state", "#step": "step", "#at": "at", "#expires": keys.EXPIRES}
        return self._conditional(
            self._dynamodb.update_item,
            Key=_wire({keys.KEY: keys.chunked(run)}),
            UpdateExpression=update,
            ConditionExpression=expression,
            ExpressionAttributeNames={k: v for k, v in known.items() if k in update + expression},
            ExpressionAttributeValues=_wire({k: v for k, v in given.items() if k in update + expression}),
        )

    def _list(self, action: str, run: str) -> None:
        self._dynamodb.update_item(
            TableName=self._table,
            Key=_wire({keys.KEY: keys.CHUNKED}),
            UpdateExpression=f"{action} runs :run",
            ExpressionAttributeValues={":run": {"SS": [run]}},
        )

    def _conditional(self, call: Callable[..., Any], **request: Any) -> bool:
        try:
            call(TableName=self._table, **request)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True


def _wire(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _serialize(value) for name, value in values.items()}
