"""The account on disk, so that an emulator that was killed comes back with everything that was deployed.

MiniStack itself saves only when it ends in order. Here each service whose state may have changed is
written again within `PAUSE_SECONDS`, or `_AT_LEAST_SECONDS` if there is much. What a SIGKILL can therefore
take back is the last moment before it. Messages in SQS are the exception, where that would be a lost
task: they have a journal (`local.emulator.journal`) that is written before the reply.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ministack import app
from ministack.core import persistence

PAUSE_SECONDS = 0.3
# What takes long to write is written less often: at most this share of the time, but every
# `_AT_LEAST_SECONDS` in any case.
_SHARE = 0.1
_AT_LEAST_SECONDS = 2.0

_STACKS = "cloudformation"
_READS = ("Get", "List", "Describe", "Head", "BatchGet", "Query", "Scan", "Simulate", "Lookup")

_log = logging.getLogger("taskfleet.account")


class Saver:
    """Knows which services changed, and writes them."""

    def __init__(self) -> None:
        self._changed: dict[str, int] = {}  # service → the number of its last change
        self._numbers = itertools.count()
        self._lock = asyncio.Lock()  # two writers of one file would spoil it
        # Kept apart from the stacks' states: a small operation begins and ends between two rounds.
        self._stacks_touched = False
        self._busy = False  # an operation went on in the last round: everything is written once more

    def unsaved(self) -> list[str]:
        """The services whose last change is not on disk yet."""
        working = self._busy or self._stacks_touched or stacks_in_progress()
        return sorted({*self._changed, *([_STACKS] if working else [])})

    def watch(self) -> None:
        """See every request that MiniStack serves."""
        for name, handler in list(app.SERVICE_HANDLERS.items()):
            app.SERVICE_HANDLERS[name] = self._watched(name, handler)

    def _watched(self, name: str, handler: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        key = app.SERVICE_REGISTRY[name].get("state_key", app.SERVICE_REGISTRY[name]["module"])

        async def handle(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Any:
            try:
                return await handler(method, path, headers, body, query)
            finally:
                if _may_change(method, headers, body, query):
                    self.mark(key)
                    self._stacks_touched |= key == _STACKS

        return handle

    def mark_everything(self) -> None:
        """A stack operation changes services without a request to each."""
        for key in app._build_persistence_save_dict():
            self.mark(key)

    def mark(self, key: str) -> None:
        """This service changed."""
        self._changed[key] = next(self._numbers)

    async def run(self) -> None:
        """Write what changed, for ever."""
        pause = PAUSE_SECONDS
        while True:
            await asyncio.sleep(pause)
            began = time.monotonic()
            try:
                working = self._stacks_touched or bool(stacks_in_progress())
                self._stacks_touched = False
                if working or self._busy:
                    self.mark_everything()
                self._busy = working
                await self.save()
            except Exception:  # noqa: BLE001 - whatever it was, the next round must come
                # An account that is silently no longer kept would be worse than a round that failed.
                _log.exception("what changed could not be written; trying again")
            pause = max(PAUSE_SECONDS, min((time.monotonic() - began) / _SHARE, _AT_LEAST_SECONDS))

    async def save(self, *, everything: bool = False) -> None:
        """Write what changed, or all there is."""
        async with self._lock:
            if everything:
                self.mark_everything()
            getters = app._build_persistence_save_dict()
            for key in sorted(self._changed):
                number = self._changed[key]
                saved = key not in getters or await self._save_one(key, getters[key])
                if saved and self._changed[key] == number:  # nothing changed it while it was written
                    del self._changed[key]

    async def _save_one(self, key: str, get_state: Callable[[], Any]) -> bool:
        try:
            state = get_state()
        except RuntimeError as error:  # a handler's thread changed it meanwhile; the next round gets it
            _log.debug("%s changed while it was read: %s", key, error)
            return False
        except Exception:  # noqa: BLE001 - one service must not keep the others from the disk
            _log.exception("the state of %s can't be taken; trying again", key)
            return False
        if state is None:  # it has nothing to keep
            return True
        before = file_id(key)
        await asyncio.to_thread(persistence.save_state, key, state)
        return file_id(key) != before


def file_id(key: str) -> int | None:
    """Of the service's file: another one after each write, the same after a write that failed.

    MiniStack's `save_state` writes a new file and puts it in the place of the old one. It swallows every
    exception, so that nothing else says that it failed.
    """
    try:
        return (Path(persistence.STATE_DIR) / f"{key}.json").stat().st_ino
    except FileNotFoundError:
        return None


def _may_change(method: str, headers: dict[str, str], body: bytes, query: Any) -> bool:
    """Whether this request can have changed anything. In doubt, yes."""
    target = headers.get("x-amz-target", "").rpartition(".")[2]
    action = target or _form_action(body, query)
    if action:
        return not action.startswith(_READS)
    return method not in ("GET", "HEAD")


def _form_action(body: bytes, query: Any) -> str:
    given = query.get("Action")
    if given:
        return str(given[0] if isinstance(given, list) else given)
    start = body.find(b"Action=", 0, 4096)
    return body[start + 7 : start + 47].partition(b"&")[0].decode("ascii", "replace") if start >= 0 else ""


def stacks_in_progress() -> list[str]:
    """The stacks that an operation works on now."""
    cloudformation: Any = sys.modules.get("ministack.services.cloudformation")
    if cloudformation is None:
        return []
    stacks = [stack for _, stack in cloudformation._stacks.all_items() if isinstance(stack, dict)]
    return sorted(s["StackName"] for s in stacks if s.get("StackStatus", "").endswith("_IN_PROGRESS"))


def register_shim(name: str, module: str) -> None:
    """A service that the shims serve is saved and restored like MiniStack's own."""
    app.SERVICE_REGISTRY[name] = {"module": name}
    app._state_map[name] = name
    app._loaded_modules[name] = sys.modules[module]


def enabled() -> bool:
    """Whether this emulator keeps its account at all."""
    return os.environ.get("PERSIST_STATE") == "1"
