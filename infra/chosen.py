"""The environments that commands work on: those of `infra.environments`, unless a variable names other ones.

The tests run on frozen settings of their own (`tests.support.reference`), so that they
hold whatever a team has in its own.
"""

from __future__ import annotations

import importlib
import os

from infra.settings import Settings

VARIABLE = "TASKFLEET_ENVIRONMENTS"
_MODULE = os.environ.get(VARIABLE, "infra.environments")

ALL: tuple[Settings, ...] = importlib.import_module(_MODULE).ALL
LOCAL: Settings = next(one for one in ALL if one.on_this_machine)
