"""Hardens tasks where Celery registers them, whatever their class and whenever that is.

Django's task class, one of the application's (``task_cls=…``, a subclass of ``app.Task``), ``base=…`` of one
task, ``shared_task`` that is finalized before or after `taskfleet.install`, ``register_task``, and
several applications in one process: all of them end in the application's registry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from celery import Celery
from celery.app.registry import TaskRegistry

from taskfleet.worker.task import FleetBehaviour, FleetDefaults


class HardeningRegistry(TaskRegistry):  # type: ignore[misc]
    """Celery's registry; a task that comes in is hardened."""

    def __setitem__(self, name: str, task: Any) -> None:
        harden(task)
        super().__setitem__(name, task)


def watch(app: Celery, before: Mapping[str, Any]) -> None:
    """Harden the tasks that ``app`` has and those that it gets.

    ``before`` is the configuration without the fleet's defaults, if it was read already: Celery has written
    from it what tasks that are bound say nothing about.
    """
    registry = app._tasks
    if not isinstance(registry, HardeningRegistry):
        # In place: somebody may hold on to it. A registry of the application's own class keeps its methods.
        own = type(registry)
        registry.__class__ = (
            HardeningRegistry if own is TaskRegistry else type(own.__name__, (HardeningRegistry, own), {})
        )
    for task in registry.values():
        if before and type(task).__bound__:
            _forget(task, before)
            harden(task)
            task.bind(app)
        else:
            harden(task)


def _forget(task: Any, before: Mapping[str, Any]) -> None:
    cls = type(task)
    for attribute, setting in cls.from_config:
        if attribute in vars(cls) and vars(cls)[attribute] == before.get(setting):
            delattr(cls, attribute)


def harden(task: Any) -> None:
    """Put `FleetBehaviour` before and `FleetDefaults` behind the class of ``task``; once."""
    cls = type(task)
    if issubclass(cls, FleetBehaviour):
        return
    attributes = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    try:
        task.__class__ = type(cls.__name__, (FleetBehaviour, cls, FleetDefaults), attributes)
    except Exception:  # noqa: BLE001 - whatever a metaclass raises
        return  # slots, a metaclass that refuses, or no class of Celery's: `lacking` says so


def lacking(app: Celery) -> Iterator[tuple[str, str]]:
    """The tasks that the fleet's promises do not hold for, each with the reason."""
    for name, task in sorted(app.tasks.items()):
        if name.startswith("celery."):
            continue
        if not isinstance(task, FleetBehaviour):
            yield name, f"its class {type(task).__qualname__} can't be extended: no back-off, no expiry"
        if not task.acks_late:
            yield name, "acks_late=False: it is lost with its worker"
        elif not task.reject_on_worker_lost:
            yield name, "reject_on_worker_lost=False: it is lost if its process is killed"
