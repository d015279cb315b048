"""The pinned CDK command line, aimed at the emulated account, with its chatter in a log."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from infra.chosen import LOCAL
from infra.settings import Releases
from local.account import ENVIRONMENT, REGION, aws_environment
from local.places import REPOSITORY, Places
from local.ports import Ports

_ACCOUNT = "000000000000"
_TAIL_LINES = 40


class CdkFailed(Exception):
    """The message holds the end of what the CDK printed."""


def bootstrap(places: Places, ports: Ports) -> None:
    """What the CDK needs in an account before it can deploy into it."""
    # Away from cdk.json: it needs no app, and would synthesize ours first.
    arguments = ["bootstrap", f"aws://{_ACCOUNT}/{REGION}"]
    _run(places, ports, arguments, folder=places.root, watch=lambda line: None)


def deploy(places: Places, ports: Ports, *, watch: Callable[[str], None]) -> None:
    """All stacks of the local environment, running the working tree. ``watch`` sees each line."""
    arguments = ["deploy", f"{ENVIRONMENT}/*", *_context(), "--require-approval", "never"]
    # Without change sets: nobody looks at them here, and each costs a round of polling.
    _run(
        places,
        ports,
        [*arguments, "--method", "direct", "--progress", "events"],
        folder=REPOSITORY,
        watch=watch,
    )


def _context() -> list[str]:
    choices = {"env": ENVIRONMENT, "live": "true"}
    if LOCAL.releases is Releases.VERSIONED:
        choices["release"] = "live"
    return [part for name, value in choices.items() for part in ("-c", f"{name}={value}")]


def environment(ports: Ports) -> dict[str, str]:
    """For the CDK: the emulated account and no other, and no talk of upgrades."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    quiet = {
        "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
        "NODE_NO_WARNINGS": "1",
        "CDK_DISABLE_CLI_TELEMETRY": "1",
        "CDK_DISABLE_VERSION_CHECK": "1",
        "NO_COLOR": "1",
    }
    return inherited | aws_environment(ports) | quiet


def _run(
    places: Places, ports: Ports, arguments: Sequence[str], *, folder: Path, watch: Callable[[str], None]
) -> None:
    command = [str(REPOSITORY / "node_modules" / ".bin" / "cdk"), *arguments]
    command += ["--output", str(places.cdk_out), "--no-notices", "--ci"]
    shutil.rmtree(places.cdk_out, ignore_errors=True)
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment(ports),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    tail: list[str] = []
    try:
        with places.cdk_log.open("a") as log:
            log.write(f"$ {' '.join(command)}\n")
            for line in process.stdout or ():
                log.write(line)
                log.flush()
                tail = [*tail, line][-_TAIL_LINES:]
                watch(line)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()
    if process.returncode:
        raise CdkFailed(f"`cdk {arguments[0]}` failed. The end of {places.cdk_log}:\n\n{''.join(tail)}")
