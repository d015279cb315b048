"""Which releases `make destroy` finds, and that it deletes none without a yes."""

from __future__ import annotations

import json
import uuid

import pytest

from infra import destroy
from tests.support.ministack import MiniStack

TEMPLATE = json.dumps({"Resources": {"Kept": {"Type": "AWS::SQS::Queue", "Properties": {}}}})


@pytest.mark.parametrize("answer", ["n", "", None])
def test_nothing_is_deleted_without_a_yes(
    aws: MiniStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str | None
) -> None:
    def asked(question: str) -> str:
        assert "Delete them" in question
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.setattr("builtins.input", asked)
    cloudformation = aws.client("cloudformation")
    environment = f"t{uuid.uuid4().hex[:6]}"
    for stack in (f"{environment}-release-r1", f"{environment}-fleet", f"x{environment}-release-r1"):
        cloudformation.create_stack(StackName=stack, TemplateBody=TEMPLATE)

    assert destroy._releases(cloudformation, environment, ask=True) is False

    assert destroy.release_stacks(cloudformation, environment) == [f"{environment}-release-r1"]
    assert "nothing is deleted" in capsys.readouterr().out
