"""Which release is synthesized: given by ``-c release=…``, or derived from the source."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk

from taskfleet.contract import names

WORKER_IMAGE = Path(__file__).parent.parent / "worker_image"

# What running or testing the package leaves behind; nothing of it goes into the image.
NOT_SOURCE = ("**/__pycache__", "**/*.pyc", "**/*.egg-info", "**/.*_cache", ".venv", "dist", "build")


def resolve(given: str | None) -> str:
    """``given`` if it may be a release's name, else `from_source`.

    Raises ``taskfleet.contract.names.InvalidName`` with the rule if ``given`` breaks it.
    """
    return names.check("release", given) if given else from_source()


def from_source(directory: Path = WORKER_IMAGE) -> str:
    """``s`` and ten hexadecimal digits: the same source always has the same id."""
    fingerprint = cdk.FileSystem.fingerprint(
        str(directory), exclude=list(NOT_SOURCE), ignore_mode=cdk.IgnoreMode.DOCKER
    )
    return names.check("release", f"s{fingerprint[:10]}")
