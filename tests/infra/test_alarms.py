"""All alarms of all environments: their names, runbooks, metrics, and whom they tell."""

from __future__ import annotations

from typing import Any

import pytest
from taskfleet.contract import metrics

from infra import environments
from infra.constructs.alarms import KINDS, Audience
from tests.infra.synthesis import ROOT, Synthesis, of_type

AWS_METRICS = {
    ("AWS/ElastiCache", "DatabaseMemoryUsagePercentage"),
    ("AWS/ElastiCache", "EngineCPUUtilization"),
}


@pytest.fixture(scope="session")
def alarms(blueprint: Synthesis) -> list[dict[str, Any]]:
    return [alarm["Properties"] for _, _, alarm in blueprint.resources("AWS::CloudWatch::Alarm")]


def kind_of(alarm: dict[str, Any]) -> str:
    """By the runbook that its description names."""
    return str(alarm["AlarmDescription"].rpartition("runbooks/")[2].removesuffix(".md"))


def test_every_kind_is_used_and_every_alarm_is_of_a_kind(alarms: list[dict[str, Any]]) -> None:
    assert {kind_of(alarm) for alarm in alarms} == set(KINDS)


def test_every_kind_has_its_runbook_and_every_alarm_its_kinds_name(alarms: list[dict[str, Any]]) -> None:
    for kind in KINDS.values():
        assert (ROOT / kind.runbook).is_file(), kind.runbook
    for alarm in alarms:
        environment = alarm["AlarmName"].split("-")[1]
        assert alarm["AlarmName"].startswith(f"taskfleet-{environment}-{kind_of(alarm)}")


def test_an_alarm_links_its_runbook_where_pages_have_an_address() -> None:
    kind = KINDS["no-worker"]
    assert kind.described("https://x.org/book") == f"{kind.meaning} See https://x.org/book/no-worker.md"
    assert kind.described(None) == f"{kind.meaning} See runbooks/no-worker.md"


def test_no_two_alarms_of_an_account_have_one_name(alarms: list[dict[str, Any]]) -> None:
    by_name = [alarm["AlarmName"] for alarm in alarms]

    assert len(by_name) == len(set(by_name))


def test_every_alarm_watches_a_metric_that_somebody_publishes(alarms: list[dict[str, Any]]) -> None:
    ours = {metric.name: metric for metric in metrics.METRICS}
    for alarm in alarms:
        dimensions = tuple(dimension["Name"] for dimension in alarm["Dimensions"])
        if alarm["Namespace"] == metrics.NAMESPACE:
            assert ours[alarm["MetricName"]].dimensions == dimensions, alarm["AlarmName"]
        else:
            assert (alarm["Namespace"], alarm["MetricName"]) in AWS_METRICS
            assert dimensions == ("CacheClusterId",)


def test_an_alarm_watches_its_own_environment(alarms: list[dict[str, Any]]) -> None:
    for alarm in alarms:
        values = {dimension["Name"]: dimension["Value"] for dimension in alarm["Dimensions"]}
        environment = alarm["AlarmName"].split("-")[1]
        if metrics.ENVIRONMENT in values:
            assert values[metrics.ENVIRONMENT] == environment
        else:
            assert values["CacheClusterId"].startswith(f"taskfleet-{environment}-")


def test_a_person_is_told_of_begin_and_end_and_scaling_acts_alone(alarms: list[dict[str, Any]]) -> None:
    for alarm in alarms:
        actions = alarm["AlarmActions"]
        assert len(actions) == 1, alarm["AlarmName"]
        if KINDS[kind_of(alarm)].audience is Audience.PERSON:
            assert alarm["OKActions"] == actions
        else:
            assert "OKActions" not in alarm


def test_scaling_looks_every_ten_seconds_and_holds_when_it_sees_nothing(alarms: list[dict[str, Any]]) -> None:
    scaling = [alarm for alarm in alarms if KINDS[kind_of(alarm)].audience is Audience.SCALING]

    assert scaling
    for alarm in scaling:
        assert alarm["Period"] == metrics.LOOK_SECONDS == 10
        # Off, and being off does nothing. `ignore` would keep it on, and its action would be repeated.
        assert alarm["TreatMissingData"] == "notBreaching"


def test_only_silence_of_the_controller_alarms_by_missing_data(alarms: list[dict[str, Any]]) -> None:
    breaching = {kind_of(alarm) for alarm in alarms if alarm["TreatMissingData"] == "breaching"}

    assert breaching == {"controller-silent"}


@pytest.mark.parametrize("settings", environments.ALL, ids=lambda settings: settings.name)
def test_each_node_of_the_broker_is_watched(blueprint: Synthesis, settings: Any) -> None:
    template = blueprint.of(settings.name, "fleet")
    watched = [
        (kind_of(alarm), alarm["Dimensions"][0]["Value"])
        for alarm in of_type(template, "AWS::CloudWatch::Alarm").values()
        if alarm["Namespace"] == "AWS/ElastiCache"
    ]

    nodes = [f"taskfleet-{settings.name}-{number:03d}" for number in range(1, settings.broker.nodes + 1)]
    assert sorted(watched) == sorted(
        (kind, node) for kind in ("broker-cpu", "broker-memory") for node in nodes
    )
