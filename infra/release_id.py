"""The release id of a deploy that names none: derived from what will run, so never reused by mistake."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from taskfleet.contract import names
from taskfleet.errors import SettingsError

from infra.settings import Image, Pool, Settings

WORKER_IMAGE = Path(__file__).parent.parent / "worker_image"

# What running or testing the package leaves behind; nothing of it goes into the image.
NOT_SOURCE = ("**/__pycache__", "**/*.pyc", "**/*.egg-info", "**/.*_cache", ".venv", "dist", "build")


def given(text: str) -> str:
    """The id that a command line names (`argparse`)."""
    try:
        return names.check("release", text)
    except names.InvalidName as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def release_id(settings: Settings, given: str | None) -> str:
    """What a deploy's release is called: as ``given``, or as what is in it.

    ``SettingsError`` if it can't be called so.
    """
    if settings.is_rolled and given not in (None, names.ROLLING):
        raise SettingsError(
            f"the release can't be called {given!r}: the environment {settings.name!r} has releases=ROLLING, "
            f"so that each build is deployed into the one release {names.ROLLING!r}. Fix: leave the id out"
        )
    if not settings.is_rolled and given == names.ROLLING:
        raise SettingsError(
            f"the release can't be called {given!r}: so is the one of an environment with releases=ROLLING. "
            "Fix: another id, or none"
        )
    return (
        names.ROLLING if settings.is_rolled else names.check("release", given or default_release_id(settings))
    )


def build_id(settings: Settings) -> str | None:
    """What is deployed into a release that is rolled; None for others, which are called by it."""
    return default_release_id(settings) if settings.is_rolled else None


def default_release_id(settings: Settings, directory: Path = WORKER_IMAGE) -> str:
    """The same release always has the same id: a letter, and ten hexadecimal digits of what it is.

    That is its image (``s``: built from source, ``i``: given by digest) and what `runs` says of its tasks.
    Another one gets an id, and queues, of its own: a queue that was taken out is drained with its release.
    """
    image = settings.image
    letter, code = ("s", built_from(image, directory)) if image.digest is None else ("i", image.digest)
    digits = hashlib.sha256(f"{code}\n{json.dumps(runs(settings), sort_keys=True)}".encode()).hexdigest()
    return names.check("release", letter + digits[:10])


def runs(settings: Settings) -> dict[str, Any]:
    """What decides where and how tasks run; numbers of workers, sizes and alarms may change in place."""
    return {
        "app": settings.app,
        "default_queue": settings.default_queue,
        "variables": dict(settings.variables),
        "secrets": {
            name: (given.arn, given.field) if given.field else given.arn
            for name, given in settings.secret_variables.items()
        },
        "pools": [_pool(pool) for pool in settings.pools],
        # What has none keeps the id that it had.
        **({"before_gate": settings.before_gate} if settings.before_gate else {}),
    }


def _pool(pool: Pool) -> dict[str, Any]:
    return {
        "name": pool.name,
        "queues": pool.queues,
        "helps": pool.helps,
        "execution": pool.execution,
        "time_limits": (pool.limits.soft_time_limit_seconds, pool.limits.time_limit_seconds),
    }


def built_from(image: Image, directory: Path = WORKER_IMAGE) -> str:
    """A hash of all that decides what is in the image: the files, the base image and the architecture."""
    parts = (fingerprint(directory), image.base, image.architecture)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def fingerprint(directory: Path = WORKER_IMAGE) -> str:
    """A hash of the files' names and contents, in hexadecimal digits."""
    return cdk.FileSystem.fingerprint(
        str(directory), exclude=list(NOT_SOURCE), ignore_mode=cdk.IgnoreMode.DOCKER
    )
