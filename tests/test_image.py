"""The worker image: what it is built from is locked, pinned and the same as what is tested here."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from infra.settings import Image

ROOT = Path(__file__).parents[1]
IMAGE = ROOT / "worker_image"


def test_requirements_are_what_the_lock_file_says() -> None:
    """``worker_image/requirements.txt`` is written from uv.lock by ``make lock``, never by hand."""
    exported = subprocess.run(
        [
            ROOT / ".venv/bin/uv",
            *("export", "--quiet", "--frozen", "--package", "taskfleet", "--all-extras", "--no-dev"),
            *("--no-emit-workspace", "--no-annotate", "--no-header"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert (IMAGE / "requirements.txt").read_text() == exported, "run `make lock`"


def test_every_requirement_is_pinned_with_a_hash() -> None:
    lines = (IMAGE / "requirements.txt").read_text().replace("\\\n", " ").splitlines()
    loose = [line for line in lines if line.strip() and not re.match(r"\S+==\S+.*--hash=sha256:", line)]
    assert loose == []


def test_the_base_is_pinned_by_digest_and_the_same_by_hand_as_by_the_cdk() -> None:
    assert re.search(r"@sha256:[0-9a-f]{64}$", Image().base)
    assert f"ARG BASE={Image().base}" in (IMAGE / "Dockerfile").read_text().splitlines()


def test_the_image_is_not_root_and_its_base_is_an_argument() -> None:
    lines = (IMAGE / "Dockerfile").read_text().splitlines()
    stages = [line for line in lines if line.startswith("FROM")]
    assert stages == ["FROM ${BASE} AS build", "FROM ${BASE}"]
    users = [line.split()[1] for line in lines if line.startswith("USER")]
    assert users, "the image says which user it runs as"
    assert all(int(part) > 0 for part in users[-1].split(":")), "a number above 0, so that ECS can check it"


def test_the_operators_command_is_not_in_it() -> None:
    """A container's role may do next to nothing of it: operators run it from a checkout, as themselves."""
    assert not re.search(r"(?<!task)fleet\b", (IMAGE / "Dockerfile").read_text())


def test_the_locked_requirements_alone_run_every_role(tmp_path: Path) -> None:
    """In the checkout's environment a package that the image lacks can hide: something else brought it."""
    uv, python = ROOT / ".venv/bin/uv", tmp_path / "venv/bin/python"
    subprocess.run(
        [uv, "venv", "--quiet", "--python", ROOT / ".venv/bin/python", tmp_path / "venv"], check=True
    )
    install = ["pip", "sync", "--quiet", "--require-hashes", "--python", python, IMAGE / "requirements.txt"]
    subprocess.run([uv, *install], check=True)
    modules = (
        "taskfleet.installing",
        "taskfleet.brokers.redis",
        "taskfleet.brokers.sqs",
        "taskfleet.worker.consumer",
        "taskfleet.beat.scheduler",
        "taskfleet.controller.controller",
        "gevent",
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(IMAGE / "src")}
    subprocess.run([python, "-c", f"import {', '.join(modules)}"], check=True, env=environment)
