"""A pin that runs here and has no wheel for the image is refused before anything is built."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from taskfleet.image import PINNED, Finding, check

from infra.checks import wheels
from infra.checks.wheels import Target
from infra.settings import Architecture, Image

ROOT = Path(__file__).parents[1]
ARM = Target(13, Architecture.ARM64)


def lock(**files: list[str]) -> dict[str, Any]:
    """A uv.lock of these packages, by their wheels' names."""
    packages = [
        {"name": name.replace("_", "-"), "wheels": [{"url": f"https://files/{file}"} for file in names]}
        for name, names in files.items()
    ]
    return {"package": packages}


def test_every_locked_requirement_has_a_wheel_for_each_environments_image() -> None:
    text = (ROOT / "worker_image/requirements.txt").read_text()
    locked = tomllib.loads((ROOT / "uv.lock").read_text())

    assert len(wheels.pins(text)) > 20
    for target in {*wheels.targets(), ARM, Target(13, Architecture.X86_64)}:
        assert wheels.missing(wheels.pins(text), locked, target) == []


def test_a_pin_without_one_is_named_with_what_would_help() -> None:
    """As two projects that were tried had them."""
    locked = lock(
        pillow=[
            "pillow-10.1.0-cp312-cp312-manylinux_2_28_aarch64.whl",
            "pillow-10.1.0-cp313-cp313-macosx_11_0_arm64.whl",
        ],
        psycopg_binary=[
            "psycopg_binary-3.1.19-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "psycopg_binary-3.1.19-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        ],
        pure=["pure-1.0-py3-none-any.whl"],
        stable=["stable-1.0-cp39-abi3-manylinux_2_17_aarch64.manylinux2014_aarch64.whl"],
    )
    wanted = ["pillow==10.1.0", "psycopg-binary==3.1.19", "pure==1.0", "stable==1.0"]

    first, second = wheels.missing(wanted, locked, ARM)

    assert first.startswith("pillow==10.1.0 has no wheel for Python 3.13 on arm64")
    assert "python:3.12-slim-bookworm" in first
    assert "X86_64" not in first
    assert "psycopg-binary==3.1.19" in second
    assert "Image(architecture=Architecture.X86_64)" in second


def test_of_a_package_that_is_locked_twice_the_pinned_version_counts() -> None:
    """Pinned by Python, as `numpy==1.26.4; python_version < "3.13"` and another for the rest."""
    old = {
        "version": "1.26.4",
        "wheels": [{"url": "https://files/numpy-1.26.4-cp311-cp311-linux_aarch64.whl"}],
    }
    new = {"version": "2.1.0", "wheels": [{"url": "https://files/numpy-2.1.0-cp313-cp313-linux_aarch64.whl"}]}

    for order in ([old, new], [new, old]):
        locked = {"package": [{"name": "numpy", **one} for one in order]}
        assert wheels.missing(["numpy==2.1.0"], locked, ARM) == []
        assert len(wheels.missing(["numpy==1.26.4"], locked, ARM)) == 1


@pytest.mark.parametrize(
    "wheel",
    [
        # A local version in a URL, as PyTorch's index has them; and what an index of one's own may have.
        {"url": "https://files/cpu/own-1.0%2Bcpu-cp313-cp313-manylinux_2_28_aarch64.whl"},
        {"path": "wheels/own-1.0+cpu-py3-none-any.whl"},
        {"filename": "own-1.0+cpu-py3-none-any.whl"},
    ],
)
def test_a_wheel_is_read_wherever_the_lock_has_its_name(wheel: dict[str, str]) -> None:
    odd = {"url": "https://files/own-one-off.whl"}
    locked = {"package": [{"name": "own", "version": "1.0+cpu", "wheels": [odd, wheel]}]}

    assert wheels.missing(["own==1.0+cpu"], locked, ARM) == []
    assert (
        len(wheels.missing(["own==1.0+cpu"], {"package": [{**locked["package"][0], "wheels": [odd]}]}, ARM))
        == 1
    )


def test_what_the_image_never_installs_needs_no_wheel() -> None:
    locked = lock(pywin=["pywin-1-cp313-cp313-win_amd64.whl"])

    assert wheels.missing(["pywin==1 ; sys_platform == 'win32'"], locked, ARM) == []


def test_the_python_is_what_the_base_says() -> None:
    assert Target.of(Image(base="python:3.12.9-slim@sha256:0")) == Target(12, Architecture.ARM64)


def test_the_versions_that_an_image_is_checked_for_are_those_that_are_pinned() -> None:
    project = tomllib.loads((ROOT / "worker_image/pyproject.toml").read_text())["project"]
    pinned = dict(one.replace("[sqs]", "").split("==") for one in project["dependencies"])

    assert {name: pinned[name] for name in PINNED} == PINNED


def said(findings: list[Finding], check: str) -> str:
    (found,) = [one for one in findings if one.check == check]
    return f"{'ok' if found.ok else 'WRONG'} {found.says}"


def test_an_image_is_checked_from_inside() -> None:
    """Here, where the user is another."""
    fine = check("drills.tasks.app:app", {})

    assert [one.check for one in fine if not one.ok] in (["user"], ["user", "writable"])
    assert "docker run --user 10001:10001" in said(fine, "user")


@pytest.mark.parametrize(
    ("app", "environ", "check_", "says"),
    [
        ("no_such_package.app:app", {}, "application", "can't be imported"),
        ("drills.tasks.app", {}, "application", "is no `module:attribute`"),
        (":app", {}, "application", "is no `module:attribute`"),
        ("tests.test_wheels:lock", {}, "application", "is not given to taskfleet.install"),
        ("drills.tasks.app:app", {"CELERY_BROKER_URL": "x"}, "variables", "CELERY_BROKER_URL"),
    ],
)
def test_what_is_wrong_with_an_image_is_said(
    app: str, environ: dict[str, str], check_: str, says: str
) -> None:
    answer = said(check(app, environ), check_)

    assert answer.startswith("WRONG")
    assert says in answer


def test_the_package_works_where_nothing_else_of_this_repository_is(tmp_path: Path) -> None:
    """As a web application in another repository installs it: without the example tasks."""
    build = tomllib.loads((ROOT / "worker_image/pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert build["targets"]["wheel"]["packages"] == ["src/taskfleet"]
    (tmp_path / "taskfleet").symlink_to(ROOT / "worker_image/src/taskfleet")
    script = f"""
import sys
sys.path[:] = [{str(tmp_path)!r}, *(one for one in sys.path if "worker_image" not in one)]
sys.meta_path[:] = [one for one in sys.meta_path if "editable" not in repr(one).lower()]
from celery import Celery
from taskfleet import install
install(Celery("shop"))
import taskfleet.cli.main
print("example_tasks" in sys.modules)
"""

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.stdout.strip() == "False", done.stderr
