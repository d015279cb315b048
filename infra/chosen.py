"""The environments that commands work on: those of `infra.environments`, unless a variable names other ones.

The tests run on frozen settings of their own (`tests.support.reference`), so that they
hold whatever a team has in its own. What is wrong in the file ends the command that reads it, in a few lines.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections import Counter

from taskfleet.errors import SettingsError

from infra.settings import Settings

VARIABLE = "TASKFLEET_ENVIRONMENTS"
_MODULE = os.environ.get(VARIABLE, "infra.environments")


def check(found: object) -> tuple[Settings, ...]:
    """``ALL`` of the file, if commands can choose among it. Raises ``SettingsError``."""
    if not isinstance(found, tuple | list) or not all(isinstance(one, Settings) for one in found):
        raise SettingsError(
            f"ALL = {found!r}: it must be a tuple of environments (infra/environments.py). Fix: write "
            "ALL = (LOCAL, DEV); a tuple of one needs its comma"
        )
    twice = [name for name, count in Counter(one.name for one in found).items() if count > 1]
    if twice:
        raise SettingsError(
            f"ALL has several environments with the name {', '.join(map(repr, twice))}: their stacks would "
            "be the same (infra/environments.py). Fix: give each its own, as replace(DEV, name='test')"
        )
    if not any(one.on_this_machine for one in found):
        raise SettingsError(
            "ALL has no environment with on_this_machine=True, which `make up` and the drills deploy "
            "(infra/environments.py). Fix: keep LOCAL"
        )
    return tuple(found)


def _load() -> tuple[Settings, ...]:
    spec = importlib.util.find_spec(_MODULE)
    if spec is None:
        sys.exit(f"SettingsError: {VARIABLE}={_MODULE} names no module. Fix: leave it out")
    try:
        return check(getattr(importlib.import_module(_MODULE), "ALL", None))
    except SettingsError as error:
        sys.exit(f"SettingsError: {error}")
    except Exception as error:
        if (said := _said(error, str(spec.origin))) is None:
            raise
        sys.exit(said)


def _said(error: Exception, file: str) -> str | None:
    """What is wrong in the file; None for what only a traceback explains."""
    if isinstance(error, SyntaxError) and error.filename == file:
        line, why = error.lineno, error.msg
    else:
        # The last of the frames: an error within one of our own functions is theirs to explain.
        *_, frame = traceback.extract_tb(error.__traceback__)
        if frame.filename != file:
            return None
        line, why = frame.lineno, f"{type(error).__name__}: {error}"
    return (
        f"SettingsError: {_MODULE.replace('.', '/')}.py, line {line}: {why}. What each setting is called, "
        "and its type, is in infra/settings.py"
    )


ALL: tuple[Settings, ...] = _load()
LOCAL: Settings = next(one for one in ALL if one.on_this_machine)
