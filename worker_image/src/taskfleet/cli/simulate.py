"""`fleet simulate`: what our scaling would do to a load of your own, and what its workers would cost."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TextIO

import click

from taskfleet.cli.output import show, show_json
from taskfleet.simulation.engine import Fleet, Load, Result, Service
from taskfleet.simulation.ours import Deployed, Ours

# One vCPU and 2 GB of Fargate on Arm in us-east-1 (`infra.prices`).
WORKER_HOUR_DOLLARS = 0.0395


@dataclass(frozen=True)
class _Trace:
    at: list[float]
    run: list[float]


def _read(source: TextIO) -> _Trace:
    """Two numbers a line: seconds at which a task was published, seconds that it ran."""
    found: list[tuple[float, float]] = []
    for number, row in enumerate(csv.reader(source), 1):
        try:
            at, run = (float(cell) for cell in row)
            if run < 0:
                raise ValueError("a run time below 0")
        except ValueError as error:
            if number == 1:  # a header
                continue
            raise click.UsageError(
                f"line {number} is {','.join(row)!r}: {error}. A line has two numbers: the second at which a "
                "task was published, and the seconds that it ran"
            ) from error
        found.append((at, run))
    if not found:
        raise click.UsageError("there is no task in it: a line has two numbers, published at and run time")
    found.sort()
    first = found[0][0]
    return _Trace([at - first for at, _ in found], [run for _, run in found])


@click.command()
@click.argument("trace", type=click.File())
@click.option("--concurrency", type=click.IntRange(1), default=4, show_default=True, help="Of one worker.")
@click.option(
    "--min", "least", type=click.IntRange(0), default=1, show_default=True, help="Workers at least."
)
@click.option("--max", "most", type=click.IntRange(1), default=10, show_default=True, help="Workers at most.")
@click.option(
    "--target", type=click.FloatRange(1), default=60, show_default=True, help="Seconds to wait at most."
)
@click.option(
    "--startup",
    type=click.FloatRange(1),
    nargs=2,
    default=(45, 75),
    show_default=True,
    help="Seconds, from and to.",
)
@click.option(
    "--out-after", type=click.IntRange(10), default=10, show_default=True, help="scale_out_after_seconds."
)
@click.option(
    "--in-after", type=click.IntRange(10), default=60, show_default=True, help="scale_in_after_seconds."
)
@click.option(
    "--price",
    type=click.FloatRange(0),
    default=WORKER_HOUR_DOLLARS,
    show_default=True,
    help="Dollars an hour.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same run.")
@click.pass_context
def simulate(
    context: click.Context,
    trace: TextIO,
    concurrency: int,
    least: int,
    most: int,
    target: float,
    startup: tuple[float, float],
    out_after: int,
    in_after: int,
    price: float,
    seed: int,
) -> None:
    """Run TRACE, a CSV of published-at and run seconds, through the fleet's scaling. Reaches no AWS.

    Example: fleet simulate tasks.csv --concurrency 8 --max 40 --target 30
    """
    if most < max(1, least):
        raise click.UsageError(f"--max {most} is below --min {least}")
    tasks = _read(trace)
    load = Load(at=tasks.at, run=tasks.run, seconds=tasks.at[-1] + 1)
    service = Service(
        slots=concurrency,
        min_workers=least,
        max_workers=most,
        target_seconds=target,
        startup_seconds=(min(startup), max(startup)),
        first_workers=least,
        protects=True,
    )
    fleet = Fleet(load, service, seed)
    Ours(fleet, Deployed(scale_out_after_seconds=out_after, scale_in_after_seconds=in_after))
    figures = _figures(fleet.run(), price)
    if context.obj["json"]:
        show_json(figures)
    else:
        width = max(map(len, figures))
        show([f"{name.replace('_', ' ').ljust(width)}  {value}" for name, value in figures.items()])


def _figures(result: Result, price: float) -> dict[str, float]:
    return {
        "tasks": result.started,
        "late_percent": round(100 * result.late / result.started, 3) if result.started else 0.0,
        "wait_p50_seconds": round(result.percentile(50), 1),
        "wait_p95_seconds": round(result.percentile(95), 1),
        "wait_p99_seconds": round(result.percentile(99), 1),
        "worker_hours": round(result.worker_hours, 2),
        "dollars": round(result.worker_hours * price, 2),
        "most_workers": result.workers_most,
        "changes_of_direction": result.direction_changes,
        "interrupted": result.interrupted,
        "not_ended": result.left,
    }
