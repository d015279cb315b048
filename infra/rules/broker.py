"""The primary broker."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from taskfleet.contract.limits import CONFIRMING_REPLICAS

from infra.rules import caches
from infra.rules.problem import Problem

if TYPE_CHECKING:
    from infra.settings import Settings

MAX_SNAPSHOT_DAYS = 35  # ElastiCache, SnapshotRetentionLimit
MAX_SNAPSHOT_NAME = 255
# One that is made by hand or copied, or a daily one, which ElastiCache names.
_SNAPSHOT = re.compile(r"(?:automatic\.)?[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*")


def _one_hash_slot(settings: Settings) -> Iterator[Problem]:
    """kombu moves messages between keys in one transaction, so that all of them must be on one node."""
    for setting, value in (
        ("broker.cluster_mode", settings.broker.cluster_mode),
        ("broker.serverless", settings.broker.serverless),
    ):
        if value:
            yield Problem(
                setting=setting,
                value=value,
                rule="Celery's Redis transport needs every key in one hash slot (else CROSSSLOT errors)",
                fix="leave it False, and take a bigger node_type for more throughput",
            )


def _engine_version(settings: Settings) -> Iterator[Problem]:
    yield from caches.engine_version("broker", settings.broker)


def _node_type(settings: Settings) -> Iterator[Problem]:
    yield from caches.node_type("broker", settings.broker)


def _nodes(settings: Settings) -> Iterator[Problem]:
    yield from caches.nodes("broker", settings.broker)


def _failover(settings: Settings) -> Iterator[Problem]:
    broker = settings.broker
    if broker.failover and broker.nodes < 2:
        yield Problem(
            setting="broker.failover",
            value=broker.failover,
            rule=f"failover needs a replica to promote, so at least 2 nodes, not {broker.nodes}",
            fix="set broker.nodes=2, or failover=False",
        )
    yield from caches.zones("broker", broker, settings, instead="failover=False")


def _confirmed(settings: Settings) -> Iterator[Problem]:
    for pool in settings.pools:
        setting = f"pool {pool.name}: confirmed"
        if unknown := [queue for queue in pool.confirmed or () if queue not in pool.queues]:
            yield Problem(
                setting=setting,
                value=unknown,
                rule=f"a pool confirms its own queues; those of {pool.name!r} are {', '.join(pool.queues)}",
                fix="name the queue at the pool that owns it",
            )
        if pool.confirmed and not settings.broker.has_replica:
            yield Problem(
                setting=setting,
                value=pool.confirmed,
                rule=f"a confirmed publish waits for {CONFIRMING_REPLICAS} replica; the broker has none",
                fix="set broker.nodes=2, or leave `confirmed` out",
            )


def _snapshots(settings: Settings) -> Iterator[Problem]:
    days = settings.broker.snapshot_retention_days
    if not 0 <= days <= MAX_SNAPSHOT_DAYS:
        yield Problem(
            setting="broker.snapshot_retention_days",
            value=days,
            rule=f"ElastiCache keeps snapshots between 0 (none) and {MAX_SNAPSHOT_DAYS} days",
            fix="7 is usual",
        )


def _restore(settings: Settings) -> Iterator[Problem]:
    """Also where ElastiCache would say so itself: after ten minutes of a deploy."""
    setting, snapshot = "broker.restore_from_snapshot", settings.broker.restore_from_snapshot
    if snapshot is None:
        return
    if settings.on_this_machine:
        yield Problem(
            setting=setting,
            value=snapshot,
            rule="the broker on this machine is one Valkey, of which no snapshots are kept",
            fix="leave it out",
        )
    elif len(snapshot) > MAX_SNAPSHOT_NAME or not _SNAPSHOT.fullmatch(snapshot):
        yield Problem(
            setting=setting,
            value=snapshot,
            rule="the name of a snapshot as ElastiCache gives it, in the environment's account and region",
            fix="copy it from `aws elasticache describe-snapshots` (docs/restore.md)",
        )


def _port(settings: Settings) -> Iterator[Problem]:
    yield from caches.port("broker", settings.broker)


RULES = (
    _one_hash_slot,
    _engine_version,
    _node_type,
    _nodes,
    _failover,
    _confirmed,
    _snapshots,
    _restore,
    _port,
)
