"""How `make deploy` and its neighbours begin: whom they ask, and with which credentials."""

from __future__ import annotations

import importlib

import pytest

from infra import deploy
from infra.settings import Settings
from tests.support import reference as environments


@pytest.mark.parametrize(
    ("settings", "terminal", "asks"),
    [
        (environments.DEV, True, True),
        (environments.DEV, False, False),  # in CI
        (environments.LOCAL, True, False),
    ],
)
def test_the_cdk_asks_for_approval_where_somebody_can_answer(
    settings: Settings, terminal: bool, asks: bool
) -> None:
    assert deploy._approval(settings, terminal=terminal) == ([] if asks else ["--require-approval", "never"])


@pytest.mark.parametrize("command", ["preflight.__main__", "deploy", "destroy"])
def test_a_profile_that_does_not_exist_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nope")
    monkeypatch.setattr("sys.argv", [command, "dev", *([] if "preflight" in command else ["--", "false"])])

    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"infra.{command}").main()

    assert "nope" in str(ended.value.code)
    assert "aws configure list-profiles" in str(ended.value.code)
