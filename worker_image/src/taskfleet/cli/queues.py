"""`fleet queues`: every queue of every release, and what was put aside."""

from __future__ import annotations

from dataclasses import asdict

import click

from taskfleet.cli.operator import Operator, asks
from taskfleet.cli.output import duration, number, show, show_json, table, waited

_HEAD = (
    "queue",
    "pool",
    "release",
    "waiting",
    "unacked",
    "scheduled",
    "oldest",
    "wait p95",
    "on fallback",
    "dead",
)


@click.command()
@asks
def queues(operator: Operator) -> None:
    """List queues: waiting, in flight, scheduled, age, fallback, dead letters (of all releases together)."""
    last = operator.last_look()
    look = last.known
    found = [
        (release, pool, queue) for release in look.releases for pool in release.pools for queue in pool.queues
    ]
    if operator.json:
        rows = [
            {"release": r.release, "pool": p.pool, **asdict(q), "dead": look.dead_letters.get(q.queue)}
            for r, p, q in found
        ]
        show_json({"age_seconds": last.age_seconds, "silent": last.silent, "queues": rows})
        return
    if last.silent:
        click.echo(f"THE CONTROLLER IS SILENT: what follows is {duration(last.age_seconds)} old.")
    lines = [
        (
            q.queue,
            p.pool,
            r.release,
            number(q.waiting),
            number(q.unacknowledged),
            number(q.scheduled),
            duration(q.oldest_age_seconds),
            waited(q.runs),
            number(q.fallback),
            number(look.dead_letters.get(q.queue)),
        )
        for r, p, q in found
    ]
    show(table(_HEAD, lines, indent=""))
