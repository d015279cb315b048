"""What ElastiCache takes, whatever a group is for: ``where`` is the setting that holds ``group``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from infra.checks import elasticache
from infra.rules.problem import Problem

if TYPE_CHECKING:
    from infra.settings import Broker, ResultsCache, Settings

MAX_NODES = 6  # ElastiCache quotas: one primary and five replicas per shard


def engine_version(where: str, group: Broker | ResultsCache) -> Iterator[Problem]:
    """One that there is."""
    versions = elasticache.FAMILIES[group.engine]
    if group.engine_version not in versions:
        yield Problem(
            setting=f"{where}.engine_version",
            value=group.engine_version,
            rule=f"ElastiCache has no such version of {group.engine.value}",
            fix=f"one of {', '.join(versions)} (infra/checks/elasticache.py lists them)",
        )


def node_type(where: str, group: Broker | ResultsCache) -> Iterator[Problem]:
    """One that there is."""
    if not elasticache.node_type_exists(group.node_type):
        families = ", ".join(elasticache.NODE_SIZES)
        yield Problem(
            setting=f"{where}.node_type",
            value=group.node_type,
            rule=f"ElastiCache has no such node type; families are {families}",
            fix="e.g. cache.t4g.small or cache.r7g.large",
        )
    elif not elasticache.is_for(group.node_type, group.engine):
        yield Problem(
            setting=f"{where}.node_type",
            value=group.node_type,
            rule=f"ElastiCache has it for Valkey, not for {group.engine.value}",
            fix=f"{where}.engine=Engine.VALKEY, or a node type of the generation before, as cache.r7g.large",
        )


def nodes(where: str, group: Broker | ResultsCache) -> Iterator[Problem]:
    """A primary and its replicas."""
    if not 1 <= group.nodes <= MAX_NODES:
        yield Problem(
            setting=f"{where}.nodes",
            value=group.nodes,
            rule=f"a primary and up to {MAX_NODES - 1} replicas",
            fix=f"between 1 and {MAX_NODES}",
        )


def zones(where: str, group: Broker | ResultsCache, settings: Settings, *, instead: str) -> Iterator[Problem]:
    """Multi-AZ needs two."""
    given = settings.network.availability_zones
    if group.fails_over and group.nodes >= 2 and len(set(given)) < 2:
        yield Problem(
            setting="network.availability_zones",
            value=given,
            rule=f"a {where} group that fails over stands in at least two zones (Multi-AZ)",
            fix=f"name a second zone, or set {where}.{instead}",
        )


def port(where: str, group: Broker | ResultsCache) -> Iterator[Problem]:
    """ElastiCache, "Choosing a port"."""
    if not 1150 <= group.port <= 65535:
        yield Problem(
            setting=f"{where}.port",
            value=group.port,
            rule="ElastiCache takes ports from 1150 to 65535",
            fix="leave it out",
        )
