"""The local environment with releases that are rolled; a variable names one of `drills.tasks.builds`."""

from __future__ import annotations

import os
from dataclasses import replace

from infra.settings import Releases
from tests.support import reference

BUILD = "TEST_BUILD"

ALL = (
    replace(
        reference.LOCAL,
        releases=Releases.ROLLING,
        app=f"drills.tasks.builds:{os.environ.get(BUILD, 'first')}",
        # The check runs in each pool; two show that it is in each.
        pools=tuple(pool for pool in reference.LOCAL.pools if pool.name != "warehouse"),
        results=None,
    ),
)
