"""What an environment costs a month when nothing happens, read off its synthesized templates.

``python -m infra.cost dev`` (``make cost ENV=dev``). Standing charges only, at `infra.prices`: what
workers, nodes, gateways, endpoints, alarms, metrics, keys and secrets cost by existing. What comes
with load (log and data volume, requests, more workers) comes on top.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from taskfleet.contract import metrics

from infra import prices
from infra.environments import ALL
from infra.templates import templates

Resource = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """One line of the bill: how many of what, and dollars a month for all of them."""

    what: str
    count: int
    dollars: float


def monthly(resources: Iterable[Resource], *, pools: int) -> list[Line]:
    """The bill of these CloudFormation resources. ``pools`` is how many pools publish metrics."""
    by_type: dict[str, list[Resource]] = {}
    for resource in resources:
        by_type.setdefault(resource["Type"], []).append(resource.get("Properties", {}))
    lines = [
        _workers(by_type),
        _cache_nodes(by_type),
        _fixed(
            "NAT gateways", by_type, "AWS::EC2::NatGateway", prices.NAT_GATEWAY_HOUR + prices.PUBLIC_IPV4_HOUR
        ),
        _endpoints(by_type),
        *_alarms(by_type),
        _metrics(pools),
        _fixed("dashboards", by_type, "AWS::CloudWatch::Dashboard", prices.DASHBOARD_MONTH, hourly=False),
        _fixed("KMS keys", by_type, "AWS::KMS::Key", prices.KMS_KEY_MONTH, hourly=False),
        _fixed("secrets", by_type, "AWS::SecretsManager::Secret", prices.SECRET_MONTH, hourly=False),
        _controller_calls(),
    ]
    return [line for line in lines if line.count]


def _fixed(
    what: str, by_type: Mapping[str, list[Resource]], kind: str, price: float, *, hourly: bool = True
) -> Line:
    count = len(by_type.get(kind, []))
    return Line(what, count, count * price * (prices.HOURS_PER_MONTH if hourly else 1))


def _workers(by_type: Mapping[str, list[Resource]]) -> Line:
    """Fargate tasks that the services want; services on EC2 pay for instances, which stand elsewhere."""
    sizes = {_logical(r): r for r in by_type.get("AWS::ECS::TaskDefinition", [])}
    # Where scaling alone says how many, it keeps its least at rest.
    targets = by_type.get("AWS::ApplicationAutoScaling::ScalableTarget", [])
    least = {target["ResourceId"].rpartition("/")[2]: target["MinCapacity"] for target in targets}
    count, dollars = 0, 0.0
    for service in by_type.get("AWS::ECS::Service", []):
        task = sizes[service["TaskDefinition"]["Ref"]]
        if "FARGATE" not in task.get("RequiresCompatibilities", ()):
            continue
        desired = int(service.get("DesiredCount", least.get(service.get("ServiceName", ""), 1)))
        architecture = task.get("RuntimePlatform", {}).get("CpuArchitecture", "X86_64")
        hour = (
            int(task["Cpu"]) / 1024 * prices.FARGATE_VCPU_HOUR[architecture]
            + int(task["Memory"]) / 1024 * prices.FARGATE_GB_HOUR[architecture]
        )
        count += desired
        dollars += desired * hour * prices.HOURS_PER_MONTH
    return Line("Fargate tasks", count, dollars)


def _logical(properties: Resource) -> str:
    return str(properties["_logical_id"])


def _cache_nodes(by_type: Mapping[str, list[Resource]]) -> Line:
    count, dollars = 0, 0.0
    for group in by_type.get("AWS::ElastiCache::ReplicationGroup", []):
        nodes = int(group["NumCacheClusters"])
        factor = prices.VALKEY_FACTOR if group["Engine"] == "valkey" else 1.0
        count += nodes
        dollars += nodes * prices.CACHE_NODE_HOUR[group["CacheNodeType"]] * factor * prices.HOURS_PER_MONTH
    return Line("ElastiCache nodes", count, dollars)


def _endpoints(by_type: Mapping[str, list[Resource]]) -> Line:
    zones = sum(
        len(endpoint.get("SubnetIds", []))
        for endpoint in by_type.get("AWS::EC2::VPCEndpoint", [])
        if endpoint.get("VpcEndpointType") == "Interface"
    )
    return Line(
        "interface endpoints, by zone",
        zones,
        zones * prices.INTERFACE_ENDPOINT_ZONE_HOUR * prices.HOURS_PER_MONTH,
    )


def _alarms(by_type: Mapping[str, list[Resource]]) -> tuple[Line, Line]:
    alarms = by_type.get("AWS::CloudWatch::Alarm", [])
    # Each metric that an alarm looks at is paid for.
    watched = [max(1, sum("MetricStat" in query for query in alarm.get("Metrics", []))) for alarm in alarms]
    fast = sum(
        count for count, alarm in zip(watched, alarms, strict=True) if int(alarm.get("Period", 60)) < 60
    )
    slow = sum(watched) - fast
    return (
        Line("high-resolution alarms", fast, fast * prices.HIGH_RESOLUTION_ALARM_MONTH),
        Line("alarms", slow, slow * prices.ALARM_MONTH),
    )


def _metrics(pools: int) -> Line:
    per_pool = sum(1 for metric in metrics.METRICS if metrics.POOL in metric.dimensions)
    count = per_pool * pools + len(metrics.METRICS) - per_pool
    return Line("custom metrics", count, count * prices.METRIC_MONTH)


def _controller_calls() -> Line:
    """One PutMetricData for each look."""
    calls = math.ceil(prices.HOURS_PER_MONTH * 3600 / metrics.LOOK_SECONDS)
    return Line("PutMetricData calls", calls, calls / 1000 * prices.PUT_METRIC_DATA_THOUSAND)


def bill(environment: str, templates: Iterable[Mapping[str, Any]]) -> list[Line]:
    """The bill of an environment whose stacks have these templates."""
    (settings,) = (one for one in ALL if one.name == environment)
    resources = [
        {**resource, "Properties": {**resource.get("Properties", {}), "_logical_id": name}}
        for template in templates
        for name, resource in template["Resources"].items()
    ]
    return monthly(resources, pools=len(settings.pools))


def page(environment: str, lines: Iterable[Line]) -> str:
    """The bill as people read it."""
    lines = list(lines)
    rows = [f"  {line.count:>8,}  {line.what:<28} ${line.dollars:>9.2f}" for line in lines]
    total = f"  {'':>8}  {'in all':<28} ${sum(line.dollars for line in lines):>9.2f}"
    return "\n".join([f"{environment}: a month at rest, us-east-1 prices", "", *rows, "", total])


def main(environment: str) -> None:
    """Synthesize ``environment`` and print its bill."""
    known = {one.name: one for one in ALL}
    if environment not in known:
        sys.exit(f"there is no environment {environment!r}: one of {', '.join(known)}")
    print(page(environment, bill(environment, templates(known[environment]).values())))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "dev")
