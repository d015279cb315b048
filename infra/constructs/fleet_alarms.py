"""The alarms of the environment itself, of the primary broker's nodes and of those of the results' cache."""

from __future__ import annotations

from aws_cdk import aws_ecs as ecs
from constructs import Construct
from taskfleet.contract import alarm_catalogue, metrics, names
from taskfleet.contract.alarms import Scope

from infra.constructs.alarms import Alarms


def add_fleet_alarms(scope: Construct, *, alarms: Alarms, controller: ecs.FargateService) -> None:
    """Add them all. Those on what ``controller`` publishes come after it: its start is no silence."""
    settings = alarms.settings
    for alarm in alarm_catalogue.of(Scope.FLEET):
        made = alarms.add(scope, alarm, dimensions={metrics.ENVIRONMENT: settings.name})
        made.node.add_dependency(controller)
    # ElastiCache publishes per node: the replication group has no metrics.
    for node in names.broker_nodes(settings.broker_group, settings.broker.nodes):
        for alarm in alarm_catalogue.of(Scope.NODE):
            if alarm.is_for(settings.broker):
                alarms.add(scope, alarm, node.rpartition("-")[2], dimensions={metrics.NODE: node})
    cache = settings.results_cache
    for node in names.broker_nodes(names.results_cache(settings.name), cache.nodes if cache else 0):
        for alarm in alarm_catalogue.of(Scope.RESULTS):
            alarms.add(scope, alarm, node.rpartition("-")[2], dimensions={metrics.NODE: node})
