"""The release id of a deploy that names none: derived from what will run, so never reused by mistake."""

from __future__ import annotations

import hashlib
from pathlib import Path

import aws_cdk as cdk
from taskfleet.contract import names

from infra.settings import Image

WORKER_IMAGE = Path(__file__).parent.parent / "worker_image"

# What running or testing the package leaves behind; nothing of it goes into the image.
NOT_SOURCE = ("**/__pycache__", "**/*.pyc", "**/*.egg-info", "**/.*_cache", ".venv", "dist", "build")


def default_release_id(image: Image, directory: Path = WORKER_IMAGE) -> str:
    """The same source always has the same id: ``s`` and ten hexadecimal digits of what it is built from.

    An image that is given by digest is its own source: ``i`` and ten digits of the digest.
    """
    if image.digest is not None:
        return names.check("release", f"i{image.digest.partition(':')[2][:10]}")
    return names.check("release", f"s{built_from(image, directory)[:10]}")


def built_from(image: Image, directory: Path = WORKER_IMAGE) -> str:
    """A hash of all that decides what is in the image: the files, the base image and the architecture."""
    parts = (fingerprint(directory), image.base, image.architecture)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def fingerprint(directory: Path = WORKER_IMAGE) -> str:
    """A hash of the files' names and contents, in hexadecimal digits."""
    return cdk.FileSystem.fingerprint(
        str(directory), exclude=list(NOT_SOURCE), ignore_mode=cdk.IgnoreMode.DOCKER
    )
