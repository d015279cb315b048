"""All alarms of all environments: their names, runbooks, metrics, and whom they tell."""

from __future__ import annotations

from typing import Any

import pytest
from taskfleet.contract import metrics
from taskfleet.contract.alarm_catalogue import CATALOGUE
from taskfleet.contract.alarms import Alarm, Setting

from tests.infra.synthesis import RELEASE, ROOT, Synthesis, of_type
from tests.support import reference as environments


@pytest.fixture(scope="session")
def alarms(blueprint: Synthesis) -> list[dict[str, Any]]:
    return [alarm["Properties"] for _, _, alarm in blueprint.resources("AWS::CloudWatch::Alarm")]


def kind_of(alarm: dict[str, Any]) -> str:
    """By the runbook that its description names."""
    return str(alarm["AlarmDescription"].rpartition("runbooks/")[2].removesuffix(".md"))


def test_every_kind_is_used_and_every_alarm_is_of_a_kind(alarms: list[dict[str, Any]]) -> None:
    assert {kind_of(alarm) for alarm in alarms} == set(CATALOGUE)


def test_every_kind_has_its_runbook_and_every_alarm_its_kinds_name(alarms: list[dict[str, Any]]) -> None:
    for kind in CATALOGUE.values():
        assert (ROOT / kind.runbook).is_file(), kind.runbook
    for alarm in alarms:
        environment = alarm["AlarmName"].split("-")[1]
        assert alarm["AlarmName"].startswith(f"taskfleet-{environment}-{kind_of(alarm)}")


def test_an_alarm_links_its_runbook_where_pages_have_an_address() -> None:
    kind = CATALOGUE["no-worker"]
    assert kind.described("https://x.org/book") == f"Page: {kind.meaning} See https://x.org/book/no-worker.md"
    assert kind.described(None) == f"Page: {kind.meaning} See runbooks/no-worker.md"


def test_no_two_alarms_of_an_account_have_one_name(alarms: list[dict[str, Any]]) -> None:
    by_name = [alarm["AlarmName"] for alarm in alarms]

    assert len(by_name) == len(set(by_name))


def watched(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    """The metrics of an alarm, also of one that calculates."""
    return [query["MetricStat"]["Metric"] for query in alarm.get("Metrics", []) if "MetricStat" in query] or [
        alarm
    ]


def test_every_alarm_watches_a_metric_that_somebody_publishes(alarms: list[dict[str, Any]]) -> None:
    published = {
        (m.namespace, m.name): m.dimensions
        for m in (*metrics.METRICS, *metrics.WORKER_METRICS, *metrics.AWS_METRICS)
    }
    for alarm in alarms:
        for metric in watched(alarm):
            dimensions = tuple(dimension["Name"] for dimension in metric["Dimensions"])
            assert published[metric["Namespace"], metric["MetricName"]] == dimensions, alarm["AlarmName"]


def test_an_alarm_watches_its_own_environment(alarms: list[dict[str, Any]]) -> None:
    for alarm in alarms:
        environment = alarm["AlarmName"].split("-")[1]
        for metric in watched(alarm):
            values = {dimension["Name"]: dimension["Value"] for dimension in metric["Dimensions"]}
            names = [values.get(name, "") for name in (metrics.NODE, metrics.SQS_QUEUE, metrics.CLUSTER)]
            assert values.get(metrics.ENVIRONMENT) == environment or any(
                f"{name}-".startswith(f"taskfleet-{environment}-") for name in names
            )


def test_a_person_is_told_of_begin_and_end_and_scaling_acts_alone(alarms: list[dict[str, Any]]) -> None:
    for alarm in alarms:
        kind, actions = CATALOGUE[kind_of(alarm)], alarm["AlarmActions"]
        assert len(actions) == kind.for_a_person + kind.scales, alarm["AlarmName"]
        if kind.for_a_person:
            assert alarm["OKActions"] == actions[:1]
        else:
            assert "OKActions" not in alarm


def test_scaling_looks_every_ten_seconds_and_holds_when_it_sees_nothing(alarms: list[dict[str, Any]]) -> None:
    scaling = [alarm for alarm in alarms if CATALOGUE[kind_of(alarm)].scales]

    assert scaling
    for alarm in scaling:
        person = CATALOGUE[kind_of(alarm)].for_a_person
        assert alarm.get("Period") == (None if person else metrics.LOOK_SECONDS)
        # Off, and being off does nothing. `ignore` would keep it on, and its action would be repeated.
        assert alarm["TreatMissingData"] == "notBreaching"


def test_only_silence_of_the_controller_alarms_by_missing_data(alarms: list[dict[str, Any]]) -> None:
    breaching = {kind_of(alarm) for alarm in alarms if alarm["TreatMissingData"] == "breaching"}

    assert breaching == {"controller-silent"}


@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=lambda kind: kind.name)
def test_an_alarm_is_deployed_as_its_entry_says(alarms: list[dict[str, Any]], kind: Alarm) -> None:
    for alarm in (alarm for alarm in alarms if kind_of(alarm) == kind.name):
        assert alarm["ComparisonOperator"] == kind.comparison
        assert alarm["AlarmDescription"].startswith(f"{kind.audience.capitalize()}: {kind.meaning} See ")
        if not isinstance(kind.threshold, Setting):
            assert alarm["Threshold"] == kind.threshold
        if not isinstance(kind.lasting_seconds, Setting):
            assert alarm["EvaluationPeriods"] == max(1, kind.lasting_seconds // kind.period_seconds)
            assert alarm["DatapointsToAlarm"] == (kind.breaching or alarm["EvaluationPeriods"])


@pytest.mark.parametrize("settings", environments.ALL, ids=lambda settings: settings.name)
def test_thresholds_that_are_settings_are_the_environments_own(blueprint: Synthesis, settings: Any) -> None:
    stacks = [blueprint.of(settings.name, stack) for stack in ("fleet", f"release-{RELEASE}")]
    found = {
        alarm["AlarmName"]: alarm["Threshold"]
        for stack in stacks
        for alarm in of_type(stack, "AWS::CloudWatch::Alarm").values()
    }
    name = f"taskfleet-{settings.name}-"

    assert found[f"{name}dead-letters"] == settings.alarm_dead_letters
    for pool in settings.pools:
        of = {
            kind: found.get(f"{name}{kind}-{pool.name}-{RELEASE}")
            for kind in ("backlog-old", "waits-long", "held-long", "below-minimum")
        }
        assert of == {
            "backlog-old": 5 * pool.latency_target_seconds,
            "waits-long": pool.latency_target_seconds,
            "held-long": pool.limits.visibility_timeout_seconds,
            "below-minimum": pool.min_workers if pool.min_workers > 1 else None,
        }


def test_sqs_is_attended_to_by_what_sqs_itself_measures(alarms: list[dict[str, Any]]) -> None:
    (alarm, *_) = (alarm for alarm in alarms if kind_of(alarm) == "fallback-unattended")

    assert {metric["Namespace"] for metric in watched(alarm)} == {"AWS/SQS"}
    (calculated,) = (query for query in alarm["Metrics"] if "Expression" in query)
    assert calculated["Expression"] == "IF(other < 1, watched, 0)"
    assert [query["Id"] for query in alarm["Metrics"] if query["ReturnData"]] == [calculated["Id"]]


@pytest.mark.parametrize("settings", environments.ALL, ids=lambda settings: settings.name)
def test_each_node_of_the_broker_and_of_the_results_is_watched(blueprint: Synthesis, settings: Any) -> None:
    template = blueprint.of(settings.name, "fleet")
    watched = [
        (kind_of(alarm), alarm["Dimensions"][0]["Value"])
        for alarm in of_type(template, "AWS::CloudWatch::Alarm").values()
        if alarm.get("Namespace") == "AWS/ElastiCache"
    ]

    nodes = [f"taskfleet-{settings.name}-{number:03d}" for number in range(1, settings.broker.nodes + 1)]
    kinds = ["broker-cpu", "broker-memory", "broker-connections"]
    if settings.broker.nodes > 1:
        kinds.append("broker-lag")
    expected = [(kind, node) for kind in kinds for node in nodes]
    if settings.results_cache:
        expected.append(("results-memory", f"taskfleet-{settings.name}-results-001"))
    assert sorted(watched) == sorted(expected)
