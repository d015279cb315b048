"""Restart the workers of the live image when a file of theirs changes, one service at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from pathlib import Path

from taskfleet.contract import names
from watchfiles import PythonFilter, awatch

from local.agent.model import RunningTask, Service, ServiceName
from local.agent.scheduler import settled

_BEATS = names.beat_service("")
_log = logging.getLogger(__name__)


class Reloads:
    """How often each live service was to be reloaded, and which still wait for their turn.

    A reload is a new `Revision`, so that it is replaced as a deployment is: with the service's own
    percentages, and the old worker stays if the new code does not start.
    """

    def __init__(self) -> None:
        self._generation = 0
        self._reached: dict[ServiceName, int] = {}
        self._current: ServiceName | None = None

    def changed(self) -> None:
        """A file changed: every live service is due, whichever was on its way."""
        self._generation += 1
        self._current = None

    def apply(
        self, services: Iterable[Service], *, live: Collection[ServiceName], tasks: Collection[RunningTask]
    ) -> list[Service]:
        """The services with the reload that they should have now; at most one moves at a time.

        ``live`` are those whose tasks run the live image. One that is first seen has nothing to reload.
        """
        wanted = [self._with_reload(service) for service in services]
        moving = next((service for service in wanted if service.id == self._current), None)
        if moving is not None and moving.id in live and not settled(moving, tasks):
            return wanted
        due = [s for s in wanted if s.id in live and s.revision.reload < self._generation]
        following = min(due, key=_turn, default=None)
        self._current = following.id if following else None
        if following is not None:
            self._reached[following.id] = self._generation
            if following.desired:
                _log.info("%s: reloading", following.id.name)
        return [self._with_reload(service) for service in wanted]

    def _with_reload(self, service: Service) -> Service:
        reached = self._reached.setdefault(service.id, self._generation)
        return replace(service, revision=replace(service.revision, reload=reached))


def _turn(service: Service) -> tuple[bool, int]:
    """Workers first, since an edited task runs there; then whoever has waited for most changes."""
    singleton = service.id.name == names.CONTROLLER_SERVICE or service.id.name.startswith(_BEATS)
    return singleton, service.revision.reload


async def watch(source: Path, *, changed: Callable[[], None], stop: asyncio.Event) -> None:
    """Call ``changed`` whenever Python files under ``source`` changed, until ``stop`` is set."""
    async for changes in awatch(source, watch_filter=PythonFilter(), stop_event=stop, debounce=400, step=100):
        files = sorted({str(Path(path).relative_to(source)) for _, path in changes})
        more = f" and {len(files) - 3} more" if len(files) > 3 else ""
        _log.info("changed: %s%s; workers of the live image restart", ", ".join(files[:3]), more)
        changed()
