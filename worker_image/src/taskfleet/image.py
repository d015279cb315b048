"""``python -m taskfleet image``: run inside an image of your own, it says whether the fleet can run it.

What every container relies on that no task definition can give: Python, this package with what it is tested
with, the application, the user, and the one writable place.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from taskfleet.contract import container
from taskfleet.contract import environment as env

_OLDEST = (3, 11)
# Exactly these, as worker_image/pyproject.toml pins them: their internals are used, so that another version
# may behave in another way. (The blueprint's own image copies the sources, which have no metadata.)
PINNED = {"celery": "5.7.0", "kombu": "5.7.0", "redis": "8.1.0"}


@dataclass(frozen=True)
class Finding:
    """One thing that was checked."""

    check: str
    ok: bool
    says: str


def check(app: str, environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """All findings; ``app`` is `module:attribute`."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _python,
        _packages,
        lambda: _application(app),
        _user,
        _writable,
        lambda: _variables(environ),
    )
    return [finding for one in checks for finding in one()]


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    fine = sys.version_info[:2] >= _OLDEST
    yield Finding("python", fine, version if fine else f"{version}: 3.11 or later is needed")
    found = shutil.which(container.command("worker")[0])
    yield Finding("command", found is not None, found or "there is no `python` on the PATH")


def _packages() -> Iterator[Finding]:
    return (_package(name, version) for name, version in PINNED.items())


def _package(name: str, version: str) -> Finding:
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, False, f"is missing: {version} is needed")
    return Finding(name, found == version, found if found == version else f"{found}: {version} is needed")


def _application(app: str) -> Iterator[Finding]:
    module, _, attribute = app.partition(":")
    if not (module and attribute):
        yield Finding("application", False, f"{app!r} is no `module:attribute`, as shop.app:app")
        return
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # noqa: BLE001 - whatever its import raises is the finding
        yield Finding("application", False, f"{app} can't be imported: {error!r}")
        return
    hardened = getattr(found, "taskfleet", None) is not None
    yield Finding(
        "application",
        hardened,
        app if hardened else f"{app} is not given to taskfleet.install: it would use its own broker",
    )


def _user() -> Iterator[Finding]:
    """ECS runs it as `container.USER`, whatever the image says; what that user can't read fails there."""
    own = f"{os.getuid()}:{os.getgid()}"
    yield Finding(
        "user",
        own == container.USER,
        own
        if own == container.USER
        else f"{own}: run this as the fleet does, `docker run --user {container.USER}`",
    )


def _writable() -> Iterator[Finding]:
    place = tempfile.gettempdir()
    fine = place == container.WRITABLE and os.access(place, os.W_OK)
    yield Finding(
        "writable",
        fine,
        place if fine else f"temporary files go to {place}: {container.WRITABLE} must be there and writable",
    )


def _variables(environ: Mapping[str, str]) -> Iterator[Finding]:
    harmful = ("CELERY_BROKER", "AWS_ACCESS_KEY", "AWS_SECRET", env.PINNED_RELEASE.name)
    baked = sorted(name for name in environ if name.startswith(harmful))
    says = (
        f"{', '.join(baked)}: set in the image, they would win over what the fleet gives" if baked else "none"
    )
    yield Finding("variables", not baked, says)
