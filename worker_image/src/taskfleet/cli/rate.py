"""`fleet rate`: rates of tasks (`taskfleet.tools.rates`): which there are; set another one, and reset it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import click

from taskfleet.cli.dry_run import reason, say, yes
from taskfleet.cli.operator import Operator, asks
from taskfleet.cli.output import duration, show, show_json, table
from taskfleet.errors import TaskfleetError
from taskfleet.tools import keys
from taskfleet.tools.rate_settings import Change, RateSettings, Settings
from taskfleet.tools.rates import BACK_SECONDS, seconds_between

_HEAD = ("rate", "declared", "set to", "for")
_HISTORY = ("when", "rate", "for", "set to", "by", "reason")


@click.group()
def rate() -> None:
    """Rates of tasks: list, set, reset, and who changed what."""


def _for(command: click.decorators.FC) -> click.decorators.FC:
    return click.option(
        "--for", "values", metavar="JSON", help="""Of one key alone: the list of its `by` arguments, ["a"]."""
    )(command)


@rate.command("list")
@asks
def list_rates(operator: Operator) -> None:
    """List the rates that workers have met, and what is set."""
    found = _settings(operator).read()
    if operator.json:
        chosen = {name: {key: asdict(each) for key, each in of.items()} for name, of in found.chosen.items()}
        show_json({"declared": found.known, "set": chosen})
        return
    rows = [row for name in sorted({*found.known, *found.chosen}) for row in _rows(found, name)]
    show(table(_HEAD, rows, indent="") if rows else ["no worker has met a rate yet"])


@rate.command("set")
@click.argument("name")
@click.argument("allowed")
@click.option("--burst", type=click.IntRange(min=1), default=1, show_default=True, help="So many at once.")
@_for
@yes
@reason
@asks
def set_rate(
    operator: Operator, name: str, allowed: str, burst: int, values: str | None, yes: bool, reason: str
) -> None:
    """Let ALLOWED runs of the rate NAME begin (70/s, 10/m, 5/h), instead of what is declared.

    Example: fleet rate set shop.ask_bank 10/s --for '["north"]' --yes
    """
    try:
        seconds_between(allowed)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    _change(operator, name, _key(values), allowed, burst, yes=yes, reason=reason)


@rate.command()
@click.argument("name")
@_for
@yes
@reason
@asks
def reset(operator: Operator, name: str, values: str | None, yes: bool, reason: str) -> None:
    """Let what is declared apply to the rate NAME again; with --for, what is set for all keys."""
    _change(operator, name, _key(values), None, None, yes=yes, reason=reason)


@rate.command()
@asks
def history(operator: Operator) -> None:
    """Show the last changes, newest first."""
    found = _settings(operator).read().changes
    if operator.json:
        show_json({"changes": [asdict(change) for change in found]})
        return
    rows = [_line(change, time.time()) for change in found]
    show(table(_HISTORY, rows, indent="") if rows else ["no rate was ever set"])


def _change(
    operator: Operator,
    name: str,
    key: str,
    allowed: str | None,
    burst: int | None,
    *,
    yes: bool,
    reason: str,
) -> None:
    before = _settings(operator).change(
        name, key, allowed, burst, actor=operator.actor(), reason=reason, do=yes
    )
    had = before.chosen.get(name, {}).get(key)
    old = f"{had.allowed}, burst {had.burst}" if had else before.known.get(name, "what is declared")
    new = f"{allowed}, burst {burst}" if allowed else "what is declared"
    only = f" --for '{key}'" if key else ""
    steps = [f"{name}{f' for {key}' if key else ''}: {old} -> {new}"]
    steps.append(
        f"in effect within 10 s, for what waits already within {BACK_SECONDS:g} s; a new count begins"
    )
    undo = (
        f"fleet rate set {name} {had.allowed} --burst {had.burst}{only} --yes"
        if had
        else f"fleet rate reset {name}{only} --yes"
    )
    say(operator, done=yes, steps=steps, undo=undo)


def _settings(operator: Operator) -> RateSettings:
    return RateSettings(operator.client("dynamodb"), operator.environment)


def _key(values: str | None) -> str:
    if values is None:
        return ""
    try:
        read = json.loads(values)
    except ValueError:
        read = None
    if not isinstance(read, list) or not read:
        raise TaskfleetError(f"""--for {values!r}: it must be the list of the `by` arguments, as '["a"]'""")
    return keys.text(read)


def _rows(found: Settings, name: str) -> list[tuple[str, ...]]:
    declared, of_rate = found.known.get(name, "?"), found.chosen.get(name, {})
    if not of_rate:
        return [(name, declared, "-", "-")]
    return [
        (name, declared, f"{each.allowed}, burst {each.burst}", key or "all") for key, each in of_rate.items()
    ]


def _line(change: Change, now: float) -> tuple[str, ...]:
    when = f"{duration(now - change.at)} ago"
    to = f"{change.allowed}, burst {change.burst}" if change.allowed else "as declared"
    return (when, change.name, change.key or "all", to, change.actor, change.reason)
