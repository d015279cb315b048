"""``await task.adelay(…)``, ``aapply_async`` of tasks, signatures and canvas, and ``await result.aget()``."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from celery.canvas import Signature
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.result import AsyncResult, ResultSet

from taskfleet.errors import SettingsError

# How often a result is looked for: at first, and at last.
SOON_SECONDS, RARELY_SECONDS = 0.01, 0.5


async def aapply_async(self: Any, *args: Any, **options: Any) -> Any:
    """As ``apply_async``, without holding up the event loop; a task's, a signature's or a canvas's.

    Raises the same errors. Cancelled before it was sent, it publishes nothing; once it is on its way it is
    published all the same. ``docs/async.md``.
    """
    installed = getattr(self.app, "taskfleet", None)
    if installed is None:
        raise SettingsError(f"{self.app!r} has no aapply_async: call taskfleet.install on it first")
    return await installed.asynchronous.publish(partial(self.apply_async, *args, **options))


async def adelay(self: Any, *args: Any, **kwargs: Any) -> Any:
    """As ``delay``, without holding up the event loop."""
    return await aapply_async(self, args, kwargs)


async def aget(self: Any, timeout: float | None = None, **options: Any) -> Any:
    """As ``get``, without holding up the event loop: of a result, or of a group's results.

    ``timeout`` in seconds; raises `celery.exceptions.TimeoutError` after it. The backend is asked in a
    thread: after 0.01 s, then less and less often, twice a second at last.
    """
    loop = asyncio.get_running_loop()
    ends_at = None if timeout is None else loop.time() + timeout
    pause = SOON_SECONDS
    while not await asyncio.to_thread(self.ready):
        left = RARELY_SECONDS if ends_at is None else ends_at - loop.time()
        if left <= 0:
            raise CeleryTimeoutError("The operation timed out.")
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, RARELY_SECONDS)
    return await asyncio.to_thread(partial(self.get, **options))


def add_methods() -> None:
    """To the signatures and results of every application: theirs are Celery's own classes."""
    Signature.adelay, Signature.aapply_async = adelay, aapply_async
    AsyncResult.aget = ResultSet.aget = aget
