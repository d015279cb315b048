"""`make deploy` of a release whose stack fails: it stays for a look, and the next try begins anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from taskfleet.contract import names, parameters
from taskfleet.releases import pointer

from infra.deploy import deploy
from infra.settings import Settings
from tests.cdk.deploying import Cdk, synthesize
from tests.local.emulator.account import Account
from tests.support.reference import LOCAL

RELEASE = names.release_stack("local", "r1")
MANIFEST = parameters.release_manifest("local", "r1")


def _deploy(cdk: Cdk, account: Account, directory: Path, settings: Settings) -> int:
    """`infra.deploy`, with an assembly in place of the app for each run of the CDK."""

    def run(command: Sequence[str]) -> int:
        return cdk.run(*command[1:], "--app", str(assembly), "--require-approval", "never")

    assembly = synthesize(directory, settings)
    command = ["cdk", "deploy", "local/*"]
    return deploy(settings, account.client("cloudformation"), command, run=run, release="r1")


def test_a_release_that_fails_is_left_and_the_next_deploy_of_it_begins_anew(
    cdk: Cdk, account: Account, tmp_path: Path
) -> None:
    ssm = account.client("ssm")
    ssm.put_parameter(Name=MANIFEST, Value="x", Type="String")  # so that its stack can't write it
    try:
        assert _deploy(cdk, account, tmp_path / "bad", LOCAL) != 0
        assert "already exists" in cdk.output
        assert cdk.stacks()[RELEASE][0] == "CREATE_FAILED"
        assert {cdk.stacks()[names.stack("local", part)][0] for part in names.LONG_LIVED} <= {
            "CREATE_COMPLETE",
            "UPDATE_COMPLETE",
        }
        assert pointer.begun(ssm, "local").keys() == {"r1"}, "the controller knows it"

        removed = replace(LOCAL, keep_failed_seconds=0)
        assert _deploy(cdk, account, tmp_path / "removed", removed) != 0
        assert cdk.stacks()[RELEASE][0] == "ROLLBACK_COMPLETE", "by setting, it is removed at once"
        assert pointer.begun(ssm, "local") == {}
    finally:
        ssm.delete_parameter(Name=MANIFEST)

    assert _deploy(cdk, account, tmp_path / "good", LOCAL) == 0, cdk.output
    assert cdk.stacks()[RELEASE][0] == "CREATE_COMPLETE"
    assert pointer.manifests(ssm, "local").keys() == {"r1"}
    assert _deploy(cdk, account, tmp_path / "again", LOCAL) == 0, cdk.output
