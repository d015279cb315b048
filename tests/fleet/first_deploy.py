"""The commands of `docs/first-deploy.md` as one runs them after `make up`: with ``local`` for ``dev``."""

from __future__ import annotations

import re
import subprocess

from local.places import REPOSITORY
from tests.fleet.deployed import Deployed

PAGE = REPOSITORY / "docs" / "first-deploy.md"
ELSEWHERE = "# AWS only"
# Run where their effect is looked at: by `test_releases` and by `test_teardown`.
DEPLOY, DESTROY = "make deploy ENV=dev", "make destroy ENV=dev"
# Exits with 1 where somebody should act, which is so after some of the tests.
SAYS = ".venv/bin/fleet -e dev status"


def commands() -> list[str]:
    """Those that can run against the emulated account, in the page's order."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines() if line.strip()]
    return [line for line in lines if not line.endswith(ELSEWHERE)]


def run(
    fleet: Deployed, command: str, *, release: str | None = None, yes: bool = False
) -> subprocess.CompletedProcess[str]:
    """One command of the page; ``release`` as RELEASE names it to make, ``yes`` says YES=1."""
    assert command in commands()
    here = command.replace("ACCOUNT/REGION", "000000000000/us-east-1")
    if "make cost" not in command:  # which asks no account
        here = re.sub(r"(ENV=|env=| -e )dev\b", r"\1local", here)
    # Not the checkout's cdk.out: another synth may be writing there.
    environment = {**fleet.shell(), "CDK_OUTPUT": str(fleet.places.root / "cdk.test")}
    if release is not None:
        environment["RELEASE"] = release
    if yes:
        environment["YES"] = "1"
    return subprocess.run(
        ["bash", "-c", here],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
