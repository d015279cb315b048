"""`fleet scale` and `fleet restart`: what a runbook needs when the alarms' own scaling is not enough."""

from __future__ import annotations

from typing import Any

import click

from taskfleet.cli.moves import say, yes
from taskfleet.cli.operator import Operator, asks
from taskfleet.contract import names
from taskfleet.errors import TaskfleetError
from taskfleet.measuring.services import Service, services
from taskfleet.releases.commands import find


@click.command()
@click.argument("pool")
@click.argument("workers", type=click.IntRange(min=0))
@click.option("--release", help="The current one unless given.")
@click.option("--fallback", is_flag=True, help="The pool's workers on SQS.")
@yes
@asks
def scale(
    operator: Operator, pool: str, workers: int, release: str | None, fallback: bool, yes: bool
) -> None:
    """Set how many workers a pool wants, now. Its alarms go on from there, within its bounds."""
    seen = operator.store.scan()
    record = find(seen.records, release or seen.pointer.release)
    if pool not in (known := [each.name for each in record.manifest.pools]):
        raise TaskfleetError(f"release {record.release} has no pool {pool!r}: one of {', '.join(known)}")
    name = names.service(pool, record.release, fallback=fallback)
    before = _service(operator, name).desired
    if yes:
        _ecs(operator).update_service(
            cluster=names.cluster(operator.environment), service=name, desiredCount=workers
        )
    flags = f"{' --release ' + release if release else ''}{' --fallback' if fallback else ''}"
    undo = f"fleet scale {pool} {before}{flags} --yes"
    say(operator, done=yes, steps=[f"{name}: wanted {before} -> {workers}"], undo=undo)


@click.command()
@click.argument("service", type=click.Choice([names.CONTROLLER_SERVICE, names.BEAT_SERVICE]))
@yes
@asks
def restart(operator: Operator, service: str, yes: bool) -> None:
    """Replace the controller's or beat's task by a new one. ECS never runs two of either."""
    _service(operator, service)
    if yes:
        _ecs(operator).update_service(
            cluster=names.cluster(operator.environment), service=service, forceNewDeployment=True
        )
    say(operator, done=yes, steps=[f"{service}: its task is stopped and started anew"])


def _service(operator: Operator, name: str) -> Service:
    cluster = names.cluster(operator.environment)
    found = services(_ecs(operator), cluster, [name]).get(name)
    if found is None:
        raise TaskfleetError(f"there is no service {name} in the cluster {cluster}: was its stack deployed?")
    return found


def _ecs(operator: Operator) -> Any:
    return operator.client("ecs")
