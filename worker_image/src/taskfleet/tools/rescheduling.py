"""A task that has to wait is published again for later, and holds no slot of a worker meanwhile."""

from __future__ import annotations

import random
from typing import Any, NoReturn

from celery.exceptions import Ignore

from taskfleet.publishing import behalf


def later(task: Any, seconds: float, **headers: Any) -> NoReturn:
    """End this run; the task runs in ``seconds`` under the same id, with what is to follow it.

    It is no retry: neither ``max_retries`` nor the back-off counts it, and its ``expires`` stays. If no
    broker takes it, the message of this run is given back.
    """
    request = task.request
    signature = task.signature_from_request(request, countdown=seconds, retries=request.retries)
    if headers:
        signature.options["headers"] = {**(signature.options.get("headers") or {}), **headers}
    with behalf.giving_back():
        signature.apply_async()
    raise Ignore


def spread(seconds: float) -> float:
    """About ``seconds``: what waits for one thing must not come back all at once."""
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
