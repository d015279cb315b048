"""What an environment costs a month when nothing happens, read off its synthesized templates.

``python -m infra.cost dev`` (``make cost ENV=dev``). Standing charges only, at `infra.prices`: what
workers, nodes, gateways, endpoints, alarms, metrics, keys and secrets cost by existing, and what the
controller asks AWS for. What comes with load (logs, data, requests, more workers) comes on top.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from taskfleet.contract import metrics

from infra import prices, requests
from infra.chosen import ALL
from infra.prices import HOURS_PER_MONTH, Page, Price
from infra.services import EC2, Service, services
from infra.settings import Settings
from infra.templates import Template, of_type, templates

# Metrics of Container Insights, by what they are of. CloudWatch User Guide, "Amazon ECS Container Insights
# metrics" (without those of instances): processor, memory, network and storage of cluster, service and task
# family; counts of cluster and service. A service without tasks has counts alone.
INSIGHTS_USE, INSIGHTS_CLUSTER, INSIGHTS_SERVICE = 8, 2, 5


@dataclass(frozen=True)
class Line:
    """One line of the bill: how many of what, dollars a month for all, and the pages of their prices."""

    what: str
    count: float
    dollars: float
    pages: tuple[Page, ...] = ()


def bill(settings: Settings, templates: Iterable[Template]) -> list[Line]:
    """The bill of an environment whose stacks have these templates."""
    found = list(templates)
    running = [one for template in found for one in services(template)]
    lines = [
        _workers(running),
        *_cache_nodes(found),
        _each("NAT gateways", found, "AWS::EC2::NatGateway", prices.NAT_GATEWAY, prices.PUBLIC_IPV4),
        _endpoints(found),
        *_alarms(found),
        _line("custom metrics", _metrics(settings), prices.METRIC),
        _line("metrics of tasks, in hours with tasks", _task_metrics(settings), prices.METRIC),
        _line("metrics of Container Insights", _insights(found, running), prices.METRIC),
        _each("dashboards", found, "AWS::CloudWatch::Dashboard", prices.DASHBOARD),
        _each("KMS keys", found, "AWS::KMS::Key", prices.KMS_KEY),
        _each("secrets", found, "AWS::SecretsManager::Secret", prices.SECRET),
        *_controller(settings),
    ]
    return [line for line in lines if line.count]


def _line(what: str, count: float, *charged: Price) -> Line:
    """``count`` of them, each at the sum of these prices; those by the hour for every hour of a month."""
    dollars = count * sum(_monthly(price) for price in charged)
    return Line(what, count, dollars, tuple({price.page: None for price in charged}))


def _monthly(price: Price) -> float:
    return price.dollars * (HOURS_PER_MONTH if price.unit.endswith("hour") else 1)


def _each(what: str, templates: Iterable[Template], kind: str, *charged: Price) -> Line:
    return _line(what, sum(len(of_type(one, kind)) for one in templates), *charged)


def _resources(templates: Iterable[Template], kind: str) -> Iterable[Mapping[str, Any]]:
    return (resource for one in templates for resource in of_type(one, kind).values())


def _workers(running: Iterable[Service]) -> Line:
    """Fargate tasks at rest; services on EC2 pay for instances, which are not counted."""
    count, dollars = 0, 0.0
    for one in running:
        if one.capacity == EC2:
            continue
        vcpu, gb = prices.FARGATE_VCPU[one.architecture], prices.FARGATE_GB[one.architecture]
        each = one.cpu_units / 1024 * _monthly(vcpu) + one.memory_mib / 1024 * _monthly(gb)
        count += one.least
        dollars += one.least * each
    return Line("Fargate tasks", count, dollars, (prices.FARGATE,))


def _cache_nodes(templates: Iterable[Template]) -> Iterable[Line]:
    """A line for each group: the broker's, and that of results where they have a cache."""
    for group in _resources(templates, "AWS::ElastiCache::ReplicationGroup"):
        of_results = str(group["ReplicationGroupId"]).endswith("-results")
        what = f"ElastiCache nodes{' for results' if of_results else ''}, {group['CacheNodeType']}"
        price = prices.CACHE_NODE[group["Engine"], group["CacheNodeType"]]
        yield _line(what, int(group["NumCacheClusters"]), price)


def _endpoints(templates: Iterable[Template]) -> Line:
    zones = sum(
        len(endpoint.get("SubnetIds", []))
        for endpoint in _resources(templates, "AWS::EC2::VPCEndpoint")
        if endpoint.get("VpcEndpointType") == "Interface"
    )
    return _line("interface endpoints, by zone", zones, prices.INTERFACE_ENDPOINT)


def _alarms(templates: Iterable[Template]) -> tuple[Line, Line]:
    alarms = list(_resources(templates, "AWS::CloudWatch::Alarm"))
    # Each metric that an alarm looks at is paid for.
    watched = [max(1, sum("MetricStat" in query for query in alarm.get("Metrics", []))) for alarm in alarms]
    fast = sum(
        count for count, alarm in zip(watched, alarms, strict=True) if int(alarm.get("Period", 60)) < 60
    )
    return (
        _line("high-resolution alarms", fast, prices.HIGH_RESOLUTION_ALARM),
        _line("alarms", sum(watched) - fast, prices.ALARM),
    )


def _metrics(settings: Settings) -> int:
    """Those that the controller publishes at every look, of one release."""
    per_pool = sum(1 for metric in metrics.METRICS if metrics.POOL in metric.dimensions)
    return per_pool * len(settings.pools) + len(metrics.METRICS) - per_pool


def _task_metrics(settings: Settings) -> int:
    """Those in the workers' log lines (embedded metric format): paid for in hours in which a task ended."""
    return len(metrics.WORKER_METRICS) * len(settings.pools)


def _insights(templates: Iterable[Template], running: Iterable[Service]) -> int:
    clusters = [
        cluster
        for cluster in _resources(templates, "AWS::ECS::Cluster")
        if any(one["Value"] == "enabled" for one in cluster.get("ClusterSettings", ()))
    ]
    if not clusters:
        return 0
    found = list(running)
    at_work = sum(one.least > 0 for one in found)
    return INSIGHTS_CLUSTER + INSIGHTS_USE + INSIGHTS_SERVICE * len(found) + 2 * INSIGHTS_USE * at_work


def _controller(settings: Settings) -> list[Line]:
    look = requests.of_a_look(settings)
    own = [
        _line("the controller's " + what, count * requests.LOOKS_PER_MONTH, price)
        for what, count, price in (
            ("PutMetricData requests", look.put_metric_data, prices.PUT_METRIC_DATA),
            ("SQS requests", look.sqs, prices.SQS_REQUEST),
            ("DynamoDB read units", look.dynamodb_reads, prices.DYNAMODB_READ),
            ("DynamoDB write units", look.dynamodb_writes, prices.DYNAMODB_WRITE),
        )
    ]
    return [*own, _line("beat's DynamoDB read units", requests.ETAS_PER_MONTH, prices.DYNAMODB_READ)]


def uncounted(templates: Iterable[Template]) -> list[str]:
    """What the bill has no line for, and is paid all the same."""
    on_ec2 = sum(one.least for each in templates for one in services(each) if one.capacity == EC2)
    tasks = "task" if on_ec2 == 1 else "tasks"
    return [
        *([f"the EC2 instances of {on_ec2} {tasks} at rest"] if on_ec2 else []),
        "what comes with load: more workers, logs, data, requests",
    ]


def page(environment: str, lines: Iterable[Line], beside: Iterable[str] = ()) -> str:
    """The bill as people read it, what comes ``beside``, and where its prices are from."""
    lines = list(lines)
    rows = [f"  {line.count:>10,.0f}  {line.what:<40} ${line.dollars:>9.2f}" for line in lines]
    total = f"  {'':>10}  {'in all':<40} ${sum(line.dollars for line in lines):>9.2f}"
    more = [f"  not counted: {one}" for one in beside]
    sources = [
        f"  {one.name}, {one.seen} ({one.how}): {one.address}"
        for one in {page: None for line in lines for page in line.pages}
    ]
    head = f"{environment}: a month at rest, us-east-1 prices"
    return "\n".join([head, "", *rows, "", total, *more, "", "prices:", *sources])


def main(environment: str) -> None:
    """Synthesize ``environment`` and print its bill."""
    known = {one.name: one for one in ALL}
    if environment not in known:
        sys.exit(f"there is no environment {environment!r}: one of {', '.join(known)}")
    settings = known[environment]
    found = list(templates(settings).values())
    print(page(environment, bill(settings, found), uncounted(found)))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "dev")
