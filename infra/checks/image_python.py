"""``python -m infra.checks.image_python``: the package's quick tests on the image's Python.

A checkout is set up with whichever Python its machine has; the image has its own (`Image.base`). This makes
an environment of that version below ``build/``, installs the image's requirements into it as the image does
(wheels, each with its hash), adds what the tests need, and runs them. Where the machine has no such Python
it says so and ends with 0: none is downloaded.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from infra.checks.wheels import ROOT, targets

UV = ROOT / ".venv/bin/uv"
# What runs in the image; the rest of the checkout never meets the image's Python.
TESTS = ("tests/taskfleet", "tests/brokers", "tests/contract", "tests/test_wheels.py")


def candidates(minor: int, environ: Mapping[str, str]) -> Iterator[str]:
    """Where CPython 3.``minor`` may be: ``IMAGE_PYTHON``, the PATH, pyenv's versions, uv's own."""
    if said := environ.get("IMAGE_PYTHON"):
        yield said
    name = f"python3.{minor}"
    yield name
    home = Path(environ.get("HOME", "/"))
    for versions in (
        Path(environ.get("PYENV_ROOT", home / ".pyenv")) / "versions",
        home / ".local/share/uv/python",
    ):
        yield from map(str, sorted(versions.glob(f"*3.{minor}.*/bin/{name}"), reverse=True))


def interpreter(minor: int, candidates: Iterable[str]) -> str | None:
    """The first that starts and is CPython 3.``minor``; a shim of pyenv's may start nothing."""
    question = f"import sys; sys.exit(sys.version_info[:2] != (3, {minor}))"
    for one in candidates:
        try:
            if subprocess.run([one, "-c", question], capture_output=True, check=False).returncode == 0:
                return one
        except OSError:
            continue
    return None


def environment(minor: int, python: str) -> Path:
    """A virtual environment of this Python with the image's requirements and the tests'; its interpreter."""
    directory = ROOT / f"build/python3.{minor}"
    made = directory / "bin/python"
    image = ("--require-hashes", "--only-binary", ":all:", "--requirement", "worker_image/requirements.txt")
    _uv("venv", "--clear", "--python", python, str(directory))
    _uv("pip", "install", "--python", str(made), *image)
    _uv("sync", "--frozen", "--all-packages", "--inexact", "--python", str(made), into=directory)
    return made


def _uv(*arguments: str, into: Path | None = None) -> None:
    variables = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    if into is not None:
        variables["UV_PROJECT_ENVIRONMENT"] = str(into)
    subprocess.run([UV, *arguments, "--quiet"], cwd=ROOT, env=variables, check=True)


def run(minor: int, options: Sequence[str]) -> int:
    """pytest's exit code; 0 as well where there is no such Python, which is said."""
    python = interpreter(minor, candidates(minor, os.environ))
    if python is None:
        print(
            f"\n  SKIPPED: the package's tests on the image's Python 3.{minor}: this machine has none.\n"
            f"  Looked for $IMAGE_PYTHON, python3.{minor} on the PATH, pyenv's and uv's. Install it, or say\n"
            f"  where it is: IMAGE_PYTHON=/path/to/python3.{minor} make test-image-python\n",
            file=sys.stderr,
        )
        return 0
    print(f"  on {python}, as the image has Python 3.{minor}", flush=True)
    pytest = [str(environment(minor, python)), "-m", "pytest", "-q", "--numprocesses=2", "-m", "not slow"]
    return subprocess.run([*pytest, *options, *TESTS], cwd=ROOT, check=False).returncode


def main() -> int:
    """The first exit code that is not 0."""
    codes = [run(minor, sys.argv[1:]) for minor in sorted({target.minor for target in targets()})]
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main())
