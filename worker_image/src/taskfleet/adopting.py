"""What an existing Celery application would be on the fleet: queues, a pool, limits, and what conflicts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from celery import Celery

from taskfleet import enforced, hardening
from taskfleet.contract import names
from taskfleet.settings import EXECUTIONS

_LONGEST = 24  # characters of a queue's name
# Of `Limits`, with the setting of Celery that says the same.
_LIMITS = {
    "soft_time_limit_seconds": "task_soft_time_limit",
    "time_limit_seconds": "task_time_limit",
    "max_tasks_per_child": "worker_max_tasks_per_child",
}


@dataclass(frozen=True)
class Proposal:
    """``queues`` are the application's → the fleet's names; the other lists are one line each."""

    queues: Mapping[str, str]
    default_queue: str
    execution: str
    concurrency: int | None
    limits: Mapping[str, int]
    conflicts: tuple[str, ...]
    without_effect: tuple[str, ...]
    not_protected: tuple[str, ...]

    def settings(self, app: str) -> str:
        """The lines for ``infra/environments.py``."""
        listed = ", ".join(f'"{queue}"' for queue in self.queues.values())
        lines = [f'APP = "{app}"', f'DEFAULT_QUEUE = "{self.default_queue}"', "", "WORK = Pool("]
        lines += ['    name="work",', f"    queues=({listed},),"]
        if self.execution != EXECUTIONS[0]:
            lines.append(f"    execution=Execution.{self.execution.upper()},")
        if self.concurrency is not None:
            lines.append(f"    concurrency={self.concurrency},")
        if self.limits:
            limits = ", ".join(f"{name}={value}" for name, value in self.limits.items())
            lines.append(f"    limits=Limits({limits}),")
        return "\n".join([*lines, ")"])


def propose(app: Celery) -> Proposal:
    """Read the application's configuration and tasks. Nothing is connected to."""
    used = dict.fromkeys([*_queues(app), str(app.conf.task_default_queue)])
    queues = {queue: _named(queue) for queue in used}
    pool = str(_said(app, "worker_pool") or EXECUTIONS[0])
    concurrency = _said(app, "worker_concurrency")
    return Proposal(
        queues=queues,
        default_queue=queues[str(app.conf.task_default_queue)],
        execution=pool if pool in EXECUTIONS else EXECUTIONS[0],
        concurrency=int(concurrency) if concurrency else None,
        limits={ours: int(value) for ours, theirs in _LIMITS.items() if (value := _said(app, theirs))},
        conflicts=tuple(_conflicts(app, queues, pool)),
        without_effect=tuple(f"{one}: {enforced.NO_EFFECT[one]}" for one in enforced.without_effect(app)),
        not_protected=tuple(f"{task}: {reason}" for task, reason in hardening.lacking(app)),
    )


def _said(app: Celery, setting: str) -> Any:
    """What the application itself says, or None."""
    return app.conf.get(setting) if app.conf.value_set_for(setting) else None


def _queues(app: Celery) -> Iterator[str]:
    """Every queue that the application names, where that can be read."""
    for one in app.conf.task_queues or ():
        yield str(getattr(one, "name", one))
    for _, options in _routes(app):
        if isinstance(options, Mapping) and (queue := options.get("queue")):
            yield str(getattr(queue, "name", queue))
        elif isinstance(options, str):
            yield options
    for name, task in sorted(app.tasks.items()):
        if not name.startswith("celery.") and (queue := getattr(task, "queue", None)):
            yield str(queue)
    for entry in (app.conf.beat_schedule or {}).values():
        if queue := (entry.get("options") or {}).get("queue"):
            yield str(queue)


def _routes(app: Celery) -> Iterator[tuple[object, object]]:
    given = app.conf.task_routes or ()
    for one in given if isinstance(given, list | tuple) and not _is_pair(given) else (given,):
        if isinstance(one, Mapping):
            yield from one.items()
        elif _is_pair(one):
            yield one[0], one[1]


def _is_pair(one: Any) -> bool:
    return isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], str | re.Pattern)


def _named(queue: str) -> str:
    """The queue's name, or the nearest that a queue of the fleet may have."""
    try:
        return names.check("queue", queue)
    except names.InvalidName:
        near = re.sub(r"[^a-z0-9]+", "_", queue.lower()).strip("_")[:_LONGEST]
        return near if near[:1].isalpha() and near != "dead" else f"q_{near}"[:_LONGEST]


def _conflicts(app: Celery, queues: Mapping[str, str], pool: str) -> Iterator[str]:
    yield from enforced.problems(app)
    for queue, ours in queues.items():
        if queue != ours:
            yield f"queue {queue!r}: no name for a queue of the fleet; call it {ours!r} wherever it is named"
    for ours in {ours for ours in queues.values() if list(queues.values()).count(ours) > 1}:
        yield f"several queues would be {ours!r}: give each a name of its own"
    if pool not in EXECUTIONS:
        yield f"worker_pool = {pool!r}: one of {', '.join(EXECUTIONS)}; prefork is proposed"
    given = app.conf.task_routes or ()
    if callable(given) or (isinstance(given, list | tuple) and any(callable(one) for one in given)):
        yield "task_routes has a function: the queues that it returns can't be read; add them to the pool"
