"""Finds the team's Celery application, the one that ``TASKFLEET_APP`` names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import TypeVar

from celery import Celery

from taskfleet import install, telemetry
from taskfleet.contract.environment import APP, Role
from taskfleet.errors import EX_CONFIG, SettingsError
from taskfleet.settings import ProducerSettings

S = TypeVar("S", bound=ProducerSettings)


def load(name: str) -> Celery:
    """Import ``module:attribute`` and install Taskfleet on it. Raises `SettingsError` for no Celery app."""
    module_name, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise  # the module is there, something that it imports is not
        raise SettingsError(f"{APP.name}={name!r}: there is no module {error.name!r} in the image") from error
    except AttributeError as error:
        raise SettingsError(f"{APP.name}={name!r}: {module_name} has no {attribute!r}") from error
    if not isinstance(found, Celery):
        raise SettingsError(f"{APP.name}={name!r} is a {type(found).__name__}, not a Celery application")
    return install(found)


def built(build: Callable[[S], Celery], kind: type[S]) -> Celery:
    """What ``build`` makes of the environment. What can't be right ends the process with its reason alone."""
    try:
        settings = kind.from_environ()
        telemetry.name_process(
            environment=settings.environment,
            release=settings.bound_release,
            service=getattr(settings, "pool", Role.BEAT.value),
        )
        return build(settings)
    except SettingsError as error:
        print(f"taskfleet: {error}", file=sys.stderr)
        sys.exit(EX_CONFIG)
