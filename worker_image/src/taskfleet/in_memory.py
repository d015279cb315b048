"""A team's own tests: with Celery's broker in memory, an application works as in stock Celery.

Only where nothing says that the process belongs to a fleet: with ``TASKFLEET_ENVIRONMENT`` set, a
``broker_url`` that was left at ``memory://`` is overridden as any other (`taskfleet.enforced`).
"""

from __future__ import annotations

import os

from celery import Celery

from taskfleet.contract.environment import ENVIRONMENT

_URL = "memory://"


def used(app: Celery) -> bool:
    """Whether ``app`` has its broker in this process's memory."""
    # The variable first: it is cheaper to look at, for each publish.
    return not os.environ.get(ENVIRONMENT.name) and str(app.conf.broker_url or "").startswith(_URL)
