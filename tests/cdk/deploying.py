"""The CDK's command line on an emulated account with no agent in it: stacks, but nothing runs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import aws_cdk
from aws_cdk import App

from infra.app import build
from infra.settings import Settings
from local.account import DEPLOYER
from tests.infra.synthesis import FLAGS, ROOT
from tests.local.emulator.account import Account
from tests.support.reference import LOCAL

TAKEN = "/taken"  # a parameter that exists, so that no stack can create it
COMMAND = ROOT / "node_modules" / ".bin" / "cdk"


class Cdk:
    """``output`` is what the last command printed.

    Each command but `bootstrap` is run as CI would run it: by somebody whose policy `make policies` writes.
    """

    def __init__(self, account: Account, directory: Path) -> None:
        self._account, self._directory, self.output = account, directory, ""

    @property
    def environment(self) -> dict[str, str]:
        """The account and no other, and no talk of upgrades."""
        endpoint = f"http://localhost:{self._account.port}"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return inherited | {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ENDPOINT_URL_S3": endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": DEPLOYER,
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_DISABLE_CLI_TELEMETRY": "1",
            "CDK_DISABLE_VERSION_CHECK": "1",
            "NO_COLOR": "1",
            "PYTHONPATH": str(ROOT),
        }

    def run(self, *arguments: str) -> int:
        """The exit code."""
        return self.command([str(COMMAND), *arguments, "--no-notices", "--ci"])

    def bootstrap(self, place: str) -> int:
        """By an administrator."""
        return self.command([str(COMMAND), "bootstrap", place, "--no-notices", "--ci"], key="administrator")

    def deploy(self, assembly: Path) -> int:
        """All stacks of an assembly that is synthesized already."""
        return self.run("deploy", "local/*", "--app", str(assembly), "--require-approval", "never")

    def command(self, command: Sequence[str], *, key: str = DEPLOYER) -> int:
        """Any command with the account's environment, with the access key ``key``."""
        done = subprocess.run(
            command,
            cwd=self._directory,
            env={**self.environment, "AWS_ACCESS_KEY_ID": key},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        self.output = done.stdout + done.stderr
        return done.returncode

    def stacks(self) -> dict[str, tuple[str, bool]]:
        """Status and termination protection of every stack of ours."""
        found = self._account.client("cloudformation").describe_stacks()["Stacks"]
        return {
            one["StackName"]: (one["StackStatus"], one["EnableTerminationProtection"])
            for one in found
            if one["StackName"].startswith("taskfleet-")
        }


def synthesize(
    directory: Path,
    settings: Settings = LOCAL,
    *,
    context: Mapping[str, str] | None = None,
    failing: str | None = None,
) -> Path:
    """An assembly of the local environment; ``failing`` is a stack that fails when all else in it is made."""
    chosen = {"env": settings.name, "release": "r1", "live": "true", **(context or {})}
    app = build(
        App(outdir=str(directory), context={**FLAGS, **chosen}, analytics_reporting=False),
        settings=[settings],
    )
    if failing is not None:
        _add_fault(app.node.find_child(settings.name).node.find_child(failing))
    app.synth()
    return directory


def _add_fault(stack: aws_cdk.Stack) -> None:  # type: ignore[type-arg]
    others = [one for one in stack.node.find_all() if isinstance(one, aws_cdk.CfnResource)]
    fault = aws_cdk.CfnResource(
        stack,
        "Fault",
        type="AWS::SSM::Parameter",
        properties={"Name": TAKEN, "Type": "String", "Value": "x"},
    )
    for one in others:
        fault.add_resource_dependency(one)
