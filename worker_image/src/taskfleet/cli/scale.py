"""`fleet scale` and `fleet restart`: what a runbook needs when the alarms' own scaling is not enough."""

from __future__ import annotations

import time
from typing import Any

import click

from taskfleet.cli.dry_run import say, yes
from taskfleet.cli.operator import Operator, asks
from taskfleet.cli.output import duration
from taskfleet.contract import names
from taskfleet.contract.manifest import PoolManifest
from taskfleet.errors import TaskfleetError
from taskfleet.measuring.services import Service, beat_of, services
from taskfleet.releases.commands import find
from taskfleet.scaling.holds import Hold

AUTO = "auto"
_UNITS = {"m": 60, "h": 3600, "d": 86400}
_LONGEST_SECONDS = 7 * 86400


class _Workers(click.ParamType[int | None]):
    name = f"NUMBER|{AUTO}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        text = str(value)
        if text == AUTO:
            return None
        if not text.isdecimal():
            self.fail(f"{text!r} is neither a number of workers nor {AUTO!r}", param, ctx)
        return int(text)


class _Time(click.ParamType[int]):
    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value  # the default, read before
        number, unit = value[:-1], _UNITS.get(value[-1:], 0)
        seconds = int(number) * unit if number.isdecimal() else 0
        if not 60 <= seconds <= _LONGEST_SECONDS:
            self.fail(f"{value!r} is no time from 1m to 7d: 30m, 2h, 1d", param, ctx)
        return seconds


@click.command()
@click.argument("pool")
@click.argument("workers", type=_Workers())
@click.option("--release", help="The current one unless given.")
@click.option("--fallback", is_flag=True, help="The pool's workers on SQS.")
@click.option("--for", "seconds", type=_Time(), default="1h", show_default=True, help="How long it holds.")
@yes
@asks
def scale(
    operator: Operator,
    pool: str,
    workers: int | None,
    release: str | None,
    fallback: bool,
    seconds: int,
    yes: bool,
) -> None:
    """Set how many workers a pool has, for a while: WORKERS is a number, or `auto`.

    Until then no alarm changes it; afterwards, or at once with `auto`, the alarms scale the pool again.

    Example: fleet scale low 4 --for 2h --yes
    """
    seen = operator.store.scan()
    record = find(seen.records, release or seen.pointer.release)
    pools = {each.name: each for each in record.manifest.pools}
    if pool not in pools:
        raise TaskfleetError(f"release {record.release} has no pool {pool!r}: one of {', '.join(pools)}")
    _check_bounds(pools[pool], workers, fallback=fallback)
    name = names.service(pool, record.release, fallback=fallback)
    before, now = _service(operator, name).desired, time.time()
    held = seen.holds.at(now).get(name)
    hold = None if workers is None else Hold(workers=workers, until=now + seconds, actor=operator.actor())
    if yes:
        operator.store.hold(seen.holds.changed(name, hold, now=now))
        if workers is not None:
            cluster = names.cluster(operator.environment)
            _ecs(operator).update_service(cluster=cluster, service=name, desiredCount=workers)
    flags = f"{' --release ' + release if release else ''}{' --fallback' if fallback else ''}"
    step = (
        f"{name}: its alarms scale it again (wanted {before} now)"
        if workers is None
        else f"{name}: wanted {before} -> {workers}, held for {duration(seconds)}"
    )
    undo = f"fleet scale {pool} {held.workers if held else AUTO}{flags} --yes"
    say(operator, done=yes, steps=[step], undo=undo)


def _check_bounds(pool: PoolManifest, workers: int | None, *, fallback: bool) -> None:
    """Raise `TaskfleetError` for a number that the scalable target of the service does not allow."""
    least = pool.warm_fallback_workers if fallback else pool.min_workers
    most = pool.most_fallback_workers if fallback else pool.max_workers
    if workers is None or least <= workers <= most:
        return
    on_sqs = ("warm_fallback_workers", "max_fallback_workers")
    setting = (on_sqs if fallback else ("min_workers", "max_workers"))[workers > most]
    raise TaskfleetError(
        f"pool {pool.name} may have {least} to {most} workers{' on SQS' if fallback else ''}, not {workers}: "
        f"choose one of those, or change {setting} in infra/environments.py and deploy a release"
    )


@click.command()
@click.argument("service", type=click.Choice([names.CONTROLLER_SERVICE, names.BEAT_SERVICE]))
@click.option("--release", help="Whose beat: the current one's unless given.")
@yes
@asks
def restart(operator: Operator, service: str, release: str | None, yes: bool) -> None:
    """Replace the controller's or beat's task by a new one. ECS never runs two of either."""
    if release and service != names.BEAT_SERVICE:
        raise TaskfleetError(f"--release names a release's beat; there is one {service} for all of them")
    name = _beat_of(operator, release) if service == names.BEAT_SERVICE else service
    _service(operator, name)
    if yes:
        _ecs(operator).update_service(
            cluster=names.cluster(operator.environment), service=name, forceNewDeployment=True
        )
    say(operator, done=yes, steps=[f"{name}: its task is stopped and started anew"])


def _beat_of(operator: Operator, release: str | None) -> str:
    seen = operator.store.scan()
    return beat_of(find(seen.records, release or seen.pointer.release))


def _service(operator: Operator, name: str) -> Service:
    cluster = names.cluster(operator.environment)
    found = services(_ecs(operator), cluster, [name]).get(name)
    if found is None:
        raise TaskfleetError(f"there is no service {name} in the cluster {cluster}: was its stack deployed?")
    return found


def _ecs(operator: Operator) -> Any:
    return operator.client("ecs")
