"""The bill of an environment, against sums done by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from taskfleet.contract import names

from infra import prices
from infra.checks import elasticache
from infra.cost import Line, bill, page, uncounted
from infra.settings import Engine
from tests.infra.synthesis import Synthesis
from tests.support import reference as environments
from tests.support.reference import ALL

DEV = environments.DEV


def billed(*resources: dict[str, Any]) -> dict[str, Line]:
    template = {"Resources": {f"Resource{n}": one for n, one in enumerate(resources)}}
    return {line.what: line for line in bill(DEV, [template])}


def task(task: str, **properties: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::ECS::Service",
        "Properties": {"TaskDefinition": {"Ref": task}, **properties},
    }


ARM = {
    "Type": "AWS::ECS::TaskDefinition",
    "Properties": {
        "Cpu": "1024",
        "Memory": "2048",
        "RequiresCompatibilities": ["FARGATE"],
        "RuntimePlatform": {"CpuArchitecture": "ARM64"},
    },
}
SCALED = {
    "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
    "Properties": {"ResourceId": "service/cluster/scaled", "MinCapacity": 3},
}
SERVICES = (
    task("Resource0", DesiredCount=2),
    task("Resource0", DesiredCount=0),
    task("Resource0", ServiceName="scaled"),
    SCALED,
)


def test_a_fargate_task_costs_its_processor_and_memory_for_every_hour() -> None:
    tasks = billed(ARM, *SERVICES)["Fargate tasks"]
    assert tasks.count == 5
    assert tasks.dollars == pytest.approx(5 * (0.03238 + 2 * 0.00356) * 730)


def test_an_alarm_of_ten_seconds_costs_three_times_one_of_a_minute() -> None:
    def alarm(period: int) -> dict[str, object]:
        return {"Type": "AWS::CloudWatch::Alarm", "Properties": {"Period": period}}

    lines = billed(alarm(10), alarm(60))
    assert lines["high-resolution alarms"].dollars == pytest.approx(3 * lines["alarms"].dollars)


def test_an_alarm_costs_by_the_metrics_that_it_watches() -> None:
    two = {"Metrics": [{"Expression": "a + b"}, {"MetricStat": {}}, {"MetricStat": {}}]}
    assert billed({"Type": "AWS::CloudWatch::Alarm", "Properties": two})["alarms"].count == 2


@pytest.mark.parametrize(("setting", "count"), [("enabled", 10 + 3 * 5 + 2 * 2 * 8), ("disabled", None)])
def test_container_insights_cost_by_their_metrics_where_they_are_on(setting: str, count: int | None) -> None:
    """Of the cluster, of three services, and of the two that have tasks and of these tasks' families."""
    setting_of = [{"Name": "containerInsights", "Value": setting}]
    cluster = {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterSettings": setting_of}}

    line = billed(ARM, *SERVICES, cluster).get("metrics of Container Insights")

    assert (line and line.count) == count
    assert line is None or line.dollars == pytest.approx(line.count * 0.30)


@pytest.mark.parametrize(
    ("engine", "node", "hour"),
    [
        ("redis", "cache.t4g.micro", 0.016),
        ("valkey", "cache.t4g.micro", 0.0128),
        ("valkey", "cache.r8g.large", 0.1756),
        ("valkey", "cache.m5.24xlarge", 5.9904),
    ],
)
def test_a_cache_of_results_has_a_line_of_its_own(engine: str, node: str, hour: float) -> None:
    def group(name: str, nodes: int) -> dict[str, Any]:
        given = {
            "ReplicationGroupId": name,
            "NumCacheClusters": nodes,
            "Engine": engine,
            "CacheNodeType": node,
        }
        return {"Type": "AWS::ElastiCache::ReplicationGroup", "Properties": given}

    lines = billed(group(names.broker("dev"), 3), group(names.results_cache("dev"), 1))

    assert lines[f"ElastiCache nodes, {node}"].dollars == pytest.approx(3 * hour * 730)
    assert lines[f"ElastiCache nodes for results, {node}"].dollars == pytest.approx(hour * 730)


@pytest.mark.parametrize("engine", list(Engine))
def test_every_node_type_that_the_rules_let_through_has_a_price(engine: Engine) -> None:
    for family, sizes in elasticache.NODE_SIZES.items():
        for size in sizes:
            node = f"cache.{family}.{size}"
            assert elasticache.is_for(node, engine) is ((engine.value, node) in prices.CACHE_NODE), node


def test_container_insights_are_a_setting_of_the_cluster(blueprint: Synthesis) -> None:
    found = {
        stack: resource["Properties"]["ClusterSettings"]
        for stack, _, resource in blueprint.resources("AWS::ECS::Cluster")
    }
    assert found == {
        names.stack(one.name, "fleet"): [
            {"Name": "containerInsights", "Value": "enabled" if one.container_insights else "disabled"}
        ]
        for one in ALL
    }


def test_the_controllers_requests_grow_with_the_queues() -> None:
    more = replace(DEV.pools[0], name="more", queues=("more", "most"))
    few, many = (
        {line.what: line.count for line in bill(settings, [])}
        for settings in (DEV, replace(DEV, pools=(*DEV.pools, more)))
    )

    looks = 730 * 360
    assert few["the controller's PutMetricData requests"] == looks
    assert few["the controller's SQS requests"] == 2 * 6 * looks
    assert many["the controller's SQS requests"] == 2 * 8 * looks


def test_every_price_has_its_page_and_the_month_it_was_seen() -> None:
    for one in vars(prices).values():
        for price in one.values() if isinstance(one, dict) else [one]:
            if isinstance(price, prices.Price):
                assert price.dollars > 0
                assert price.page.address.startswith("https://aws.amazon.com/")
                assert len(price.page.seen) == len("2026-11")


@pytest.mark.parametrize("environment", [one.name for one in ALL if not one.on_this_machine])
def test_every_environment_has_a_bill(blueprint: Synthesis, environment: str) -> None:
    """Every node type and architecture in use has a price, and nothing that always runs is missed."""
    templates = [
        t for name, t in blueprint.templates.items() if name.startswith(names.stack(environment, ""))
    ]
    (settings,) = (one for one in ALL if one.name == environment)
    lines = {line.what: line for line in bill(settings, templates)}
    assert lines[f"ElastiCache nodes, {settings.broker.node_type}"].count == settings.broker.nodes
    # Beat, the controller, and the workers that each pool keeps.
    assert lines["Fargate tasks"].count == 2 + sum(
        p.min_workers + p.warm_fallback_workers for p in settings.pools
    )
    assert all(line.dollars > 0 and line.pages for line in lines.values())


def test_the_page_has_the_sum_and_where_its_prices_are_from() -> None:
    text = page("dev", [Line("one", 1, 1.25, (prices.SQS,)), Line("two", 2, 2.5, (prices.SQS,))])
    total, _, head, *sources = text.splitlines()[-4:]
    assert total.split() == ["in", "all", "$", "3.75"]
    assert (head, len(sources)) == ("prices:", 1)
    assert f"Amazon SQS Pricing, {prices.SQS.seen}" in sources[0]


def test_the_page_says_what_it_leaves_out_and_its_sums_stand_in_one_column() -> None:
    on_ec2 = {**ARM, "Properties": {**ARM["Properties"], "RequiresCompatibilities": ["EC2"]}}
    resources = {f"Resource{n}": one for n, one in enumerate((on_ec2, *SERVICES))}
    instances, load = uncounted([{"Resources": resources}])

    text = page("dev", bill(DEV, []), [instances, load])

    assert instances == "the EC2 instances of 5 tasks at rest"
    assert f"not counted: {instances}" in text
    assert f"not counted: {load}" in text
    assert len({line.index("$") for line in text.splitlines() if "$" in line}) == 1


def test_where_all_is_fargate_no_instance_is_left_out() -> None:
    resources = {f"Resource{n}": one for n, one in enumerate((ARM, *SERVICES))}

    (load,) = uncounted([{"Resources": resources}])

    assert load.startswith("what comes with load")
