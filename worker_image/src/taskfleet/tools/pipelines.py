"""Pipelines: each stage is a task with a queue of its own; an item goes through them, its data by reference.

An item's record is durable, and each message is one step of it (`taskfleet.tools.steps`). A stage that fails
for good leaves its item where it is, with the reason, and a dead letter; the item goes on from that stage
when the letter is redriven. Other items do not wait for it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from celery import Celery, current_app

from taskfleet import aws
from taskfleet.contract import tools as keys
from taskfleet.errors import TaskfleetError
from taskfleet.tools import running
from taskfleet.tools.limits import LEASE_SECONDS
from taskfleet.tools.ranges import Place
from taskfleet.tools.runs import Run, Runs, State
from taskfleet.tools.steps import Step, publish, queue_of

F = TypeVar("F", bound=Callable[..., Any])

# Of a reference, as JSON: it is in the record, and in each message.
MOST_BYTES = 4096


class Pipeline:
    """A pipeline of tasks, by name in their order. Its instances (an account, a warehouse) have own items.

    Put `stage` below ``@app.task`` of each. A stage's task is called with a reference to its data (a key, a
    row's id; 4 KB of JSON at most) and returns the reference for the next one. A stage may run again after a
    crash: write under a name that is made of the reference.
    """

    def __init__(self, name: str, *stages: str, lease_seconds: float = LEASE_SECONDS) -> None:
        if not name or "/" in name or len(stages) < 2 or len(set(stages)) < len(stages) or lease_seconds < 1:
            raise ValueError(
                f"Pipeline({name!r}, {', '.join(map(repr, stages))}): a name without a slash, two tasks or "
                "more, each once; a lease of 1 s at least"
            )
        self.name, self.stages, self._lease_seconds = name, stages, lease_seconds

    def stage(self, function: F) -> F:
        """Make the task below a stage of this pipeline."""

        @functools.wraps(function)
        def step(*message: Any) -> None:
            *bound, item, number = message  # the task itself comes first with bind=True
            task = running.task_of_a_message()
            if task is None or task.name not in self.stages:
                raise TaskfleetError(
                    f"{function.__qualname__} is a stage of the pipeline {self.name}, whose tasks are "
                    f"{', '.join(self.stages)}: let items in with enter()"
                )
            work = functools.partial(function, *bound)
            _Stage(task, work, item, number, self.stages, self._lease_seconds).take()

        del step.__wrapped__  # its parameters are not those of the message
        return step  # type: ignore[return-value]

    def enter(self, instance: str, item: str, reference: Any, *, app: Celery | None = None) -> str:
        """Let an item into the first stage; its id, ``<pipeline>/<instance>/<item>``.

        An item that there is already goes on, or stays done: its record is kept for 30 days. Called in a
        task: workers may write the record.
        """
        app = app or current_app._get_current_object()
        if "/" in instance or not instance or not item:
            raise ValueError(f"enter({instance!r}, {item!r}): two texts, the instance's without a slash")
        unknown = [stage for stage in self.stages if stage not in app.tasks]
        if unknown:
            raise TaskfleetError(f"pipeline {self.name}: there is no task {unknown[0]!r} in this application")
        id, first = f"{self.name}/{instance}/{item}", self.stages[0]
        items = PipelineItems(aws.client("dynamodb"), app.taskfleet.settings.environment)
        items.create(id, first, queue_of(app.tasks[first]), place(self.stages, reference))
        found = items.read(id)
        if found is None:
            raise TaskfleetError(f"{id} was not written")
        if found.published < found.step and found.state is State.RUNNING:
            publish(app, items, found)
        return id


def place(stages: tuple[str, ...], reference: Any) -> Place:
    """What an item's record says of where it is. Raises `TaskfleetError` for a reference that is none."""
    try:
        size = len(json.dumps(reference))
    except (TypeError, ValueError) as error:
        raise TaskfleetError(f"a reference is JSON: {error}") from error
    if size > MOST_BYTES:
        raise TaskfleetError(
            f"a reference of {size} bytes; {MOST_BYTES} at most: write the data where the next stage reads "
            "it (taskfleet.tools.store), and pass its key"
        )
    return {"over": "stages", "stages": list(stages), "at": reference}


class PipelineItems(Runs):
    """The items of all pipelines of one environment. An item's id is ``<pipeline>/<instance>/<item>``."""

    def _key(self, run: str) -> str:
        return keys.pipeline_item(run)

    def _listing(self, run: str) -> str:
        return keys.pipeline("/".join(run.split("/")[:2]))

    def create(self, run: str, task: str, queue: str, place: Place) -> bool:
        """As `Runs.create`, and the pipeline's instance is known from then on."""
        instance = "/".join(run.split("/")[:2])
        self._table.update(
            keys.PIPELINES,
            "ADD #runs :instance",
            {":instance": {instance}, ":name": instance},
            condition="attribute_not_exists(#runs) OR NOT contains(#runs, :name)",
        )
        return super().create(run, task, queue, place)

    def instances(self) -> list[str]:
        """Every ``<pipeline>/<instance>`` that an item has entered."""
        return sorted(self._table.get(keys.PIPELINES).get("runs", ()))

    def of(self, instance: str) -> Iterator[Run]:
        """The items of ``<pipeline>/<instance>`` that have not ended."""
        return self._on(keys.pipeline(instance))


class _Stage(Step):
    """One message of an item."""

    def __init__(
        self,
        task: Any,
        function: Callable[[Any], Any],
        item: str,
        number: int,
        stages: tuple[str, ...],
        lease_seconds: float,
    ) -> None:
        items = PipelineItems(aws.client("dynamodb"), task.app.taskfleet.settings.environment)
        super().__init__(task, items, item, number, every=0.0, lease_seconds=lease_seconds)
        self._function, self._stages = function, stages

    def _do(self, run: Run) -> None:
        stages = tuple(run.place["stages"])
        following = stages[run.step + 1] if run.step + 1 < len(stages) else None

        def work() -> Place | None:
            reference = self._function(run.place["at"])
            return place(stages, reference) if following else None

        after = self._work(run, work)
        queue = queue_of(self._task.app.tasks[following]) if following else None
        self._known(self._runs.advance, run, after, following, queue)
