"""The bill of an environment, against sums done by hand."""

from __future__ import annotations

import pytest
from taskfleet.contract import names

from infra.cost import Line, bill, monthly, page
from infra.environments import ALL
from tests.infra.synthesis import Synthesis


def test_a_fargate_task_costs_its_processor_and_memory_for_every_hour() -> None:
    resources = [
        {
            "Type": "AWS::ECS::TaskDefinition",
            "Properties": {
                "_logical_id": "Task",
                "Cpu": "1024",
                "Memory": "2048",
                "RequiresCompatibilities": ["FARGATE"],
                "RuntimePlatform": {"CpuArchitecture": "ARM64"},
            },
        },
        {"Type": "AWS::ECS::Service", "Properties": {"TaskDefinition": {"Ref": "Task"}, "DesiredCount": 2}},
        {"Type": "AWS::ECS::Service", "Properties": {"TaskDefinition": {"Ref": "Task"}, "DesiredCount": 0}},
        {
            "Type": "AWS::ECS::Service",
            "Properties": {"TaskDefinition": {"Ref": "Task"}, "ServiceName": "scaled"},
        },
        {
            "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
            "Properties": {"ResourceId": "service/cluster/scaled", "MinCapacity": 3},
        },
    ]
    tasks = next(line for line in monthly(resources, pools=1) if line.what == "Fargate tasks")
    assert tasks.count == 5
    assert tasks.dollars == pytest.approx(5 * (0.03238 + 2 * 0.00356) * 730)


def test_an_alarm_of_ten_seconds_costs_three_times_one_of_a_minute() -> None:
    def alarm(period: int) -> dict[str, object]:
        return {"Type": "AWS::CloudWatch::Alarm", "Properties": {"Period": period}}

    lines = {line.what: line for line in monthly([alarm(10), alarm(60)], pools=0)}
    assert lines["high-resolution alarms"].dollars == pytest.approx(3 * lines["alarms"].dollars)


def test_an_alarm_costs_by_the_metrics_that_it_watches() -> None:
    two = {"Metrics": [{"Expression": "a + b"}, {"MetricStat": {}}, {"MetricStat": {}}]}
    (line,) = monthly([{"Type": "AWS::CloudWatch::Alarm", "Properties": two}], pools=0)[:1]
    assert (line.what, line.count) == ("alarms", 2)


@pytest.mark.parametrize("environment", [one.name for one in ALL if not one.on_this_machine])
def test_every_environment_has_a_bill(blueprint: Synthesis, environment: str) -> None:
    """Every node type and architecture in use has a price, and nothing that always runs is missed."""
    templates = [
        t for name, t in blueprint.templates.items() if name.startswith(names.stack(environment, ""))
    ]
    lines = {line.what: line for line in bill(environment, templates)}
    (settings,) = (one for one in ALL if one.name == environment)
    assert lines["ElastiCache nodes"].count == settings.broker.nodes
    # Beat, the controller, and the workers that each pool keeps.
    assert lines["Fargate tasks"].count == 2 + sum(
        p.min_workers + p.warm_fallback_workers for p in settings.pools
    )
    assert all(line.dollars > 0 for line in lines.values())


def test_the_page_ends_with_the_sum() -> None:
    text = page("dev", [Line("one", 1, 1.25), Line("two", 2, 2.5)])
    assert text.splitlines()[-1].split() == ["in", "all", "$", "3.75"]
