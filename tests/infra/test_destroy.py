"""Which releases `make destroy` finds, and that it deletes none without a yes, or of another account."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import replace

import pytest

from infra import destroy, environments
from infra.settings import Settings
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


@pytest.mark.parametrize("answer", ["n", "", None])
def test_nothing_is_deleted_without_a_yes(monkeypatch: pytest.MonkeyPatch, answer: str | None) -> None:
    def asked(question: str) -> str:
        assert "Delete all of dev" in question
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.setattr("builtins.input", asked)

    assert destroy._agreed("dev", ["dev-release-r1"]) is False


def test_only_the_environments_own_releases_are_found_and_all_of_them_deleted(aws: MiniStack) -> None:
    cloudformation = aws.client("cloudformation")
    environment = f"t{uuid.uuid4().hex[:6]}"
    for stack in (f"{environment}-release-r1", f"{environment}-fleet", f"x{environment}-release-r1"):
        cloudformation.create_stack(StackName=stack, TemplateBody=TEMPLATE)

    found = destroy.release_stacks(cloudformation, environment)
    assert found == [f"{environment}-release-r1"]

    destroy._delete(cloudformation, found)
    assert destroy.release_stacks(cloudformation, environment) == []
