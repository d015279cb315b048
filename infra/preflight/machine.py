"""What this machine needs to build the worker image."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from infra.preflight.finding import Finding, State
from infra.settings import Architecture, Settings

_SECONDS = 10
_OURS = {"x86_64": Architecture.X86_64, "amd64": Architecture.X86_64}
_OURS |= {"aarch64": Architecture.ARM64, "arm64": Architecture.ARM64}
_QEMU = {Architecture.ARM64: "qemu-aarch64", Architecture.X86_64: "qemu-x86_64"}
_BINFMT = Path("/proc/sys/fs/binfmt_misc")


def builds(settings: Settings) -> Iterator[Finding]:
    """An engine that builds images, and one that runs the image's programs while it does."""
    image = settings.image
    if image.uri is not None:
        yield Finding(what="worker image", state=State.OK, found=f"{image.uri}: given, nothing is built")
        return
    engine = os.environ.get("CDK_DOCKER", "docker")
    problem = _engine(engine)
    yield Finding(
        what="image builder",
        state=State.MISSING if problem else State.OK,
        found=problem or f"{engine} answers",
        then=""
        if not problem
        else "install Docker and start it, or name another engine with CDK_DOCKER (podman, "
        "finch), or set Image(uri=…, digest=…) to an image that exists",
    )
    if not problem:
        yield _emulation(image.architecture)


def _engine(engine: str) -> str | None:
    """Why the engine can't build, or None."""
    if shutil.which(engine) is None:
        return f"there is no {engine} on this machine"
    try:
        # Asks the server behind the command, which is what is often not running.
        done = subprocess.run(
            [engine, "version"], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        return f"{engine} does not answer ({type(error).__name__})"
    last = (done.stderr.strip() or "no reason given").splitlines()[-1]
    return f"{engine} does not answer: {last}" if done.returncode else None


def _emulation(wanted: Architecture) -> Finding:
    if _OURS.get(platform.machine().lower()) is wanted:
        return Finding(what="its processor", state=State.OK, found=f"{wanted.value}, as this machine")
    what, found = "its processor", f"{wanted.value} on {platform.machine()}"
    if platform.system() != "Linux":  # Docker Desktop and its like have QEMU in their own machine
        return Finding(what=what, state=State.OK, found=f"{found}, by the engine's own machine")
    if (_BINFMT / _QEMU[wanted]).exists():
        return Finding(what=what, state=State.OK, found=f"{found}, by QEMU")
    return Finding(
        what=what,
        state=State.MISSING,
        found=f"{found}, and QEMU is not registered",
        then="build for this machine (Image(architecture=…) in infra/environments.py), or register it:",
        run=("docker run --privileged --rm tonistiigi/binfmt --install all",),
    )
