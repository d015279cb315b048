"""Which releases `make destroy` finds, and that it deletes none without a yes, or of another account."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import replace

import pytest
from taskfleet import stacks
from taskfleet.contract import names

from infra import destroy
from infra.settings import Settings
from tests.support import reference as environments
from tests.support.ministack import MiniStack

TEMPLATE = json.dumps({"Resources": {"Kept": {"Type": "AWS::SQS::Queue", "Properties": {}}}})


MINE = replace(environments.DEV, account="123456789012")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (environments.DEV, "this is the placeholder"),
        (replace(environments.PROD, account="000000000000"), "prod keeps its data.*keep_data=False"),
        (MINE, "dev is in account 123456789012, and your credentials are of 000000000000"),
    ],
)
def test_an_environment_is_left_alone(aws: MiniStack, settings: Settings, says: str) -> None:
    reason = destroy.refused(settings, aws.client("sts"))

    assert reason is not None
    assert re.search(says, reason)


def test_an_environment_in_ones_own_account_may_be_deleted(aws: MiniStack) -> None:
    assert destroy.refused(replace(MINE, account="000000000000"), aws.client("sts")) is None


@pytest.mark.parametrize(("answer", "refused"), [("n", True), ("", True), (None, True), ("Yes", False)])
def test_nothing_is_deleted_without_a_yes(
    monkeypatch: pytest.MonkeyPatch, answer: str | None, refused: bool
) -> None:
    def asked(question: str) -> str:
        assert "Delete all of dev" in question
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.setattr("builtins.input", asked)

    said = destroy._not_agreed("dev", ["taskfleet-dev-release-r1"], True)

    assert said == ("nothing is deleted" if refused else None)


def test_without_a_terminal_nobody_is_asked_and_the_way_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(question: str) -> str:
        raise AssertionError(question)

    monkeypatch.setattr("builtins.input", asked)

    assert "make destroy ENV=dev YES=1" in str(destroy._not_agreed("dev", [], False))


def _make(aws: MiniStack, name: str, environment: str | None) -> None:
    """A small stack, with the tags of an environment or with none."""
    tags = names.stack_tags(environment) if environment else {}
    aws.client("cloudformation").create_stack(
        StackName=name,
        TemplateBody=TEMPLATE,
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )


def test_only_the_environments_own_releases_are_found_and_all_of_them_deleted(aws: MiniStack) -> None:
    cloudformation = aws.client("cloudformation")
    environment = f"t{uuid.uuid4().hex[:6]}"
    fleet = names.stack(environment, "fleet")
    for name in (names.release_stack(environment, "r1"), fleet):
        _make(aws, name, environment)
    # As they were called once, and another project's.
    for name in (f"{environment}-release-r1", f"taskfleet-{environment}x-release-r1"):
        _make(aws, name, None)

    found = stacks.of_environment(cloudformation, environment)
    releases = destroy._releases(environment, found)
    assert releases == [f"taskfleet-{environment}-release-r1"]
    assert {one["StackName"] for one in found} == {fleet, *releases}

    destroy._delete(cloudformation, environment, releases)
    left = stacks.of_environment(cloudformation, environment)
    assert [one["StackName"] for one in left] == [fleet]


def test_nothing_is_deleted_where_another_team_has_an_environment_of_this_name(
    aws: MiniStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    release = names.release_stack("local", "mail")
    tags = names.stack_tags("local", "mail")
    aws.client("cloudformation").create_stack(
        StackName=release,
        TemplateBody=TEMPLATE,
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["destroy", "local", "--yes", "--", "false"])

    try:
        assert destroy.main() == 1
        assert f"the stack {release} is of the owner 'mail'" in capsys.readouterr().err
        assert stacks.find(aws.client("cloudformation"), release) is not None
    finally:
        aws.client("cloudformation").delete_stack(StackName=release)


def test_nothing_is_deleted_where_a_stack_of_such_a_name_is_somebody_elses(
    aws: MiniStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = (names.release_stack("local", name) for name in ("ours", "theirs"))
    _make(aws, ours, "local")
    _make(aws, theirs, "dev")
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["destroy", "local", "--yes", "--", "false"])

    assert destroy.main() == 1

    said = capsys.readouterr().err
    assert f"the stack {theirs} is not ours" in said
    assert "project=taskfleet and environment=local" in said
    left = {one["StackName"] for one in stacks.of_environment(aws.client("cloudformation"), "local")}
    assert left == {ours, theirs}
    for name in left:
        aws.client("cloudformation").delete_stack(StackName=name)
