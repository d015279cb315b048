"""What every task has here: retries that back off, and messages that do not live for ever.

Two classes around the class that the team's task has anyway: `FleetBehaviour` before it, and `FleetDefaults`
behind everything of the team's, just above Celery's ``Task``, so that whatever the team says wins: on the
task, on one of its classes, or as an annotation (`taskfleet.hardening` puts them there).
"""

from __future__ import annotations

import random
import time
from datetime import datetime
from typing import Any

from celery import Task

from taskfleet.brokers.eta import seconds_until
from taskfleet.contract.messages import DEFAULT_EXPIRY_HEADER
from taskfleet.publishing import awaitable, behalf

FIRST_RETRY_SECONDS = 2.0
LONGEST_RETRY_SECONDS = 600.0
DEFAULT_EXPIRES_SECONDS = 7 * 24 * 3600


def backoff(retries: int, *, spread: float) -> float:
    """Seconds until the next try: doubling, from 2 s to ten minutes.

    Half of it is random (``spread``, 0 to 1): tasks that failed together must not come back together.
    """
    longest = min(FIRST_RETRY_SECONDS * 2.0 ** min(retries, 16), LONGEST_RETRY_SECONDS)
    return longest * (0.5 + spread / 2)


class FleetDefaults(Task):  # type: ignore[misc]
    """What a task has that its team says nothing about."""

    abstract = True

    # Bounded: a task that must be tried more often says so.
    max_retries = 5
    # After the loss of its process; `retry` has its own, see there.
    default_retry_delay = 5
    # A week after its time nobody wants it any more; a task with an earlier end of usefulness says so.
    expires = DEFAULT_EXPIRES_SECONDS


# Where nobody of the team said whether a task is sent again when its process is lost.
_UNSAID = object()


class FleetBehaviour:
    """Comes before the task's own class."""

    adelay, aapply_async = awaitable.adelay, awaitable.aapply_async

    @classmethod
    def bind(cls: Any, app: Any) -> Any:
        """As Celery's; a default of ours does not run again what its team acknowledges early.

        ``acks_late=False`` is how a task says that it must never run twice.
        """
        if cls.retry_on_worker_lost is None:
            cls.retry_on_worker_lost = _UNSAID
        bound = super().bind(app)  # type: ignore[misc]
        if cls.retry_on_worker_lost is _UNSAID:  # no annotation said it, either
            setting = "task_retry_on_worker_lost"
            cls.retry_on_worker_lost = app.conf[setting] and (
                bool(cls.acks_late) or app.conf.value_set_for(setting)
            )
        return bound

    def apply_async(self: Any, args: Any = None, kwargs: Any = None, *more: Any, **options: Any) -> Any:
        """As Celery's; the task's own ``expires`` counts from the ETA, the caller's from now, as ever.

        Celery counts both from now, and a task whose time comes after that is never run.
        """
        if isinstance(self.expires, int | float) and "expires" not in options:
            options["expires"] = self.expires + _seconds_ahead(options.get("eta"), options.get("countdown"))
            if is_ours(self, "expires"):
                # What it ends is kept as a dead letter (`taskfleet.worker.expiring`).
                options["headers"] = {**(options.get("headers") or {}), DEFAULT_EXPIRY_HEADER: True}
        return super().apply_async(args, kwargs, *more, **options)  # type: ignore[misc]

    def retry(
        self: Any,
        args: Any = None,
        kwargs: Any = None,
        exc: Any = None,
        throw: bool = True,
        eta: Any = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> Any:
        """As Celery's; where nobody says when, it waits `backoff`, not always three minutes."""
        if eta is None and countdown is None and is_ours(self, "default_retry_delay"):
            countdown = backoff(self.request.retries, spread=random.random())  # noqa: S311 - no secret
        return super().retry(  # type: ignore[misc]
            args=args,
            kwargs=kwargs,
            exc=exc,
            throw=throw,
            eta=eta,
            countdown=countdown,
            max_retries=max_retries,
            **options,
        )

    def on_replace(self: Any, sig: Any) -> Any:
        """As Celery's, which ends the task; if no broker takes its replacement, it is given back."""
        with behalf.giving_back():
            return super().on_replace(sig)  # type: ignore[misc]

    def add_to_chord(self: Any, sig: Any, lazy: bool = False) -> Any:
        """As Celery's, which counts the task before it is published; if no broker takes it, it is kept."""
        with behalf.keeping():
            return super().add_to_chord(sig, lazy)  # type: ignore[misc]

    def signature_from_request(
        self: Any, request: Any = None, args: Any = None, kwargs: Any = None, *more: Any, **options: Any
    ) -> Any:
        """As Celery's; a retry's arguments are shown as those of its task were (``argsrepr``)."""
        known = self.request if request is None else request
        for given, shown in ((args, "argsrepr"), (kwargs, "kwargsrepr")):
            if given is None and isinstance(known.get(shown), str):
                options.setdefault(shown, known.get(shown))
        return super().signature_from_request(request, args, kwargs, *more, **options)  # type: ignore[misc]


def is_ours(task: Any, attribute: str) -> bool:
    """Whether the task's value is the one of `FleetDefaults`: nobody of the team said another."""
    if attribute in vars(task):
        return False
    return next((cls for cls in type(task).__mro__ if attribute in vars(cls)), None) is FleetDefaults


def _seconds_ahead(eta: datetime | str | None, countdown: float | None) -> float:
    at = eta.isoformat() if isinstance(eta, datetime) else eta
    return countdown or max(0.0, seconds_until({"eta": at}, now=time.time()))
