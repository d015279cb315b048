"""What is known of an application once it is imported: its files, and where its tasks go."""

from __future__ import annotations

import inspect
import os
import sys
import sysconfig
from collections.abc import Container, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

from celery import Celery

from taskfleet.errors import SettingsError
from taskfleet.linting.finding import Finding
from taskfleet.routing import asked_queue

SETTING = "taskfleet_lint"
_INSTALLED = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "stdlib"))
_OURS = Path(__file__).resolve().parents[1]


class Mode(StrEnum):
    """What a worker does about findings at its start: it does not start, logs them, or does not look."""

    STRICT = "strict"
    WARN = "warn"
    OFF = "off"


def mode(app: Celery) -> Mode:
    """Raises `SettingsError` for another value."""
    value = app.conf.get(SETTING, Mode.WARN)
    try:
        return Mode(value)
    except ValueError as error:
        allowed = ", ".join(repr(each.value) for each in Mode)
        raise SettingsError(f"{SETTING} = {value!r}: allowed are {allowed}") from error


def own_tasks(app: Celery) -> dict[str, Any]:
    """Its tasks but Celery's and Taskfleet's."""
    return {
        name: task
        for name, task in sorted(app.tasks.items())
        if (file := _place(task)[0]) is not None and _is_own(file)
    }


def files(app: Celery) -> list[Path]:
    """The files that its tasks are in."""
    return sorted({file for task in own_tasks(app).values() if (file := _place(task)[0]) is not None})


def folders(app: Celery) -> list[Path]:
    """The packages that these files belong to, whole: what publishes is elsewhere; and single files."""
    found: set[Path] = set()
    for task in own_tasks(app).values():
        package = sys.modules.get(task.__module__.partition(".")[0])
        places = [Path(place) for place in getattr(package, "__path__", ())]
        file = _place(task)[0]
        found |= set(places) or ({file} if file is not None else set())
    return sorted(found)


def unrouted(app: Celery, queues: Container[str]) -> Iterator[Finding]:
    """Tasks whose queue none of the pools has. Celery's default queue stands for the fleet's."""
    for name, task in own_tasks(app).items():
        asked = asked_queue(task)
        if asked not in queues and asked != "celery":
            file, line = _place(task)
            says = f"{name} goes to the queue {asked!r}, which no pool has: a publish of it is refused"
            fix = "route it to a queue of a pool, or add the queue to one in infra/environments.py"
            yield Finding(os.path.relpath(file or "?"), line, "no-pool", says, fix)


def _place(task: Any) -> tuple[Path | None, int]:
    function = inspect.unwrap(getattr(task.run, "__func__", task.run))
    code = getattr(function, "__code__", None)
    if code is None:
        return None, 1
    return Path(code.co_filename).resolve(), int(code.co_firstlineno)


def _is_own(file: Path) -> bool:
    return file.suffix == ".py" and not any(file.is_relative_to(place) for place in (*_INSTALLED, _OURS))
