"""Shells in containers (ECS Exec): where they are allowed all that they need, elsewhere nothing of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from infra import rules
from infra.settings import Settings
from tests.infra.synthesis import RELEASE, Synthesis, of_type, only
from tests.support import reference as environments

CHANNEL = "ssmmessages:OpenControlChannel"


def everything(synthesis: Synthesis, environment: str) -> str:
    """All that runs containers there."""
    return json.dumps([synthesis.of(environment, stack) for stack in ("fleet", f"release-{RELEASE}")])


def check_on(synthesis: Synthesis, environment: str) -> None:
    template, text = synthesis.of(environment, "fleet"), everything(synthesis, environment)
    shells = only(template, "AWS::ECS::Cluster")["Configuration"]["ExecuteCommandConfiguration"]
    groups = {group.get("LogGroupName") for group in of_type(template, "AWS::Logs::LogGroup").values()}

    assert shells["KmsKeyId"]
    assert shells["LogConfiguration"]["CloudWatchEncryptionEnabled"] is True
    assert shells["LogConfiguration"]["CloudWatchLogGroupName"] in groups
    assert all(part in text for part in (CHANNEL, "/managed-agents", '"EnableExecuteCommand": true'))


@pytest.mark.parametrize("settings", environments.ALL, ids=lambda settings: settings.name)
def test_it_is_on_where_no_data_is_kept_and_off_elsewhere(blueprint: Synthesis, settings: Settings) -> None:
    if not settings.keep_data:
        check_on(blueprint, settings.name)
        return
    text = everything(blueprint, settings.name)
    assert "Configuration" not in only(blueprint.of(settings.name, "fleet"), "AWS::ECS::Cluster")
    for part in (
        "ssmmessages:",
        "/managed-agents",
        "amazon/ssm",
        f"/{settings.name}/exec",
        'ExecuteCommand": true',
    ):
        assert part not in text


def test_it_may_be_turned_on_where_data_is_kept(variants: Synthesis) -> None:
    check_on(variants, "redis")


def test_and_synth_then_says_what_that_means() -> None:
    said = [
        remark for remark in rules.remarks(replace(environments.PROD, ecs_exec=True)) if "ecs_exec" in remark
    ]

    assert len(said) == 1
    assert "ecs:ExecuteCommand" in said[0]
    assert not any("ecs_exec" in remark for one in environments.ALL for remark in rules.remarks(one))
    assert replace(environments.DEV, ecs_exec=False).allows_exec is False
