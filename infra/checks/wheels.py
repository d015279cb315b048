"""``python -m infra.checks.wheels``: has every pin a wheel for the image? ``make lock`` asks it.

The image installs wheels only. A pin that locks and runs on this machine may have none for the image's Python
and processor; without this, the image's build would say so after minutes, or nobody where nobody builds it.
Read from ``uv.lock``, which names each package's files: nothing is downloaded.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from infra.chosen import ALL
from infra.settings import Architecture, Image

ROOT = Path(__file__).parents[2]
_MACHINES = {Architecture.ARM64: "aarch64", Architecture.X86_64: "x86_64"}
_PYTHON = re.compile(r"python:3\.(\d+)")
_OURS = 13  # where a base does not say its Python
_OTHERS = (11, 12, 13, 14)
_GLIBC = 36  # of Debian bookworm, which the base is


@dataclass(frozen=True)
class Target:
    """What a wheel must fit: CPython 3.``minor`` on Linux."""

    minor: int
    architecture: Architecture

    def __str__(self) -> str:
        return f"Python 3.{self.minor} on {self.architecture}"

    @classmethod
    def of(cls, image: Image) -> Target:
        """That of an image that is built here."""
        said = _PYTHON.search(image.base)
        return cls(int(said[1]) if said else _OURS, image.architecture)

    @property
    def tags(self) -> frozenset[Tag]:
        """All tags of wheels that fit."""
        machine, version = _MACHINES[self.architecture], (3, self.minor)
        platforms = [f"manylinux_2_{glibc}_{machine}" for glibc in range(5, _GLIBC + 1)]
        platforms += [f"manylinux2014_{machine}", f"linux_{machine}"]
        interpreter = f"cp3{self.minor}"
        return frozenset(
            [*cpython_tags(version, platforms=platforms), *compatible_tags(version, interpreter, platforms)]
        )

    @property
    def markers(self) -> dict[str, str]:
        """What a requirement's marker is evaluated with."""
        return {
            "python_version": f"3.{self.minor}",
            "python_full_version": f"3.{self.minor}.99",
            "platform_machine": _MACHINES[self.architecture],
            "platform_system": "Linux",
            "sys_platform": "linux",
            "os_name": "posix",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }


def missing(requirements: Iterable[str], lock: Mapping[str, Any], target: Target) -> list[str]:
    """A line for each pin that has no wheel for ``target``: which, and what would help."""
    return [
        f"{pin.name}{pin.specifier} has no wheel for {target}: {_help(wheels, target)}"
        for pin in map(Requirement, requirements)
        if (pin.marker is None or pin.marker.evaluate(target.markers))
        and not _fits(wheels := _wheels(pin, lock), target)
    ]


def pins(text: str) -> list[str]:
    """The requirements of a requirements.txt, without their hashes."""
    lines = text.replace("\\\n", " ").splitlines()
    return [re.split(r"\s+--hash", line)[0].strip() for line in lines if line.strip()]


def _wheels(pin: Requirement, lock: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Those of the pinned version: a lock has several of a package that is pinned by Python or processor."""
    return [
        wheel
        for one in lock["package"]
        if canonicalize_name(one["name"]) == canonicalize_name(pin.name)
        and ("version" not in one or pin.specifier.contains(one["version"], prereleases=True))
        for wheel in one.get("wheels", [])
    ]


def _fits(wheels: Sequence[Mapping[str, Any]], target: Target) -> bool:
    return any(_tags(wheel) & target.tags for wheel in wheels)


def _tags(wheel: Mapping[str, Any]) -> frozenset[Tag]:
    """None of a name that installers don't read either. Of a private index it may be a path, or a name."""
    place = wheel.get("url") or wheel.get("path") or wheel["filename"]
    try:
        return parse_wheel_filename(unquote(str(place).partition("#")[0].rpartition("/")[2]))[3]
    except InvalidWheelFilename:
        return frozenset()


def _help(wheels: Sequence[Mapping[str, Any]], target: Target) -> str:
    return "; or ".join(
        [
            "pin another version in worker_image/pyproject.toml, most often a newer one",
            *(
                f"in infra/environments.py set Image(base='python:3.{other}-slim-bookworm@sha256:…')"
                for other in [o for o in _OTHERS if _fits(wheels, Target(o, target.architecture))][-1:]
            ),
            *(
                f"set Image(architecture=Architecture.{other.name})"
                for other in Architecture
                if other is not target.architecture and _fits(wheels, Target(target.minor, other))
            ),
        ]
    )


def targets() -> Iterator[Target]:
    """Those of the environments whose image is built here, each once."""
    yield from dict.fromkeys(Target.of(one.image) for one in ALL if one.image.uri is None)


def main() -> int:
    """0 if every pin has a wheel for every image."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    requirements = pins((ROOT / "worker_image" / "requirements.txt").read_text())
    found = [line for target in targets() for line in missing(requirements, lock, target)]
    for line in found:
        print(line, file=sys.stderr)
    if not found:
        print(f"every pin has a wheel for {', '.join(map(str, targets()))}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
