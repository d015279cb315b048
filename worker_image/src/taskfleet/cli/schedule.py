"""`fleet schedule`: when the periodic tasks of an application fire, and whether that is what was agreed.

Of tasks with a far ETA, which are no part of a schedule: `taskfleet.cli.etas`.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import click

from taskfleet import applications
from taskfleet.beat.firings import Entry, entries, expected, firings
from taskfleet.cli.etas import etas
from taskfleet.cli.output import show, show_json, table
from taskfleet.contract import environment as env
from taskfleet.errors import TaskfleetError

_HEAD = ("entry", "task", "schedule", "zone", "missed firings")
_APP = click.argument("app", metavar="MODULE:ATTRIBUTE", envvar=env.APP.name)


class _Moment(click.ParamType[datetime]):
    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time as 2026-03-28 or 2026-03-28T12:00+01:00", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@click.group()
def schedule() -> None:
    """Periodic tasks of an application, which is all that is read; and (etas) tasks with a far ETA."""


schedule.add_command(etas)


@schedule.command("list")
@_APP
@click.pass_context
def list_entries(context: click.Context, app: str) -> None:
    """List the entries of the application's beat_schedule."""
    found = _entries(app)
    if context.obj["json"]:
        show_json({"entries": [dict(zip(_HEAD, _row(entry), strict=True)) for entry in found]})
        return
    show(table(_HEAD, [_row(entry) for entry in found], indent="") if found else ["no periodic task"])


@schedule.command("next")
@_APP
@click.argument("entry", required=False)
@click.option("--count", "-n", type=click.IntRange(1, 1000), default=5, show_default=True)
@click.option("--since", type=_Moment(), help="From then on; from now unless given.")
@click.pass_context
def next_firings(
    context: click.Context, app: str, entry: str | None, count: int, since: datetime | None
) -> None:
    """Print the next firings of each entry, or of ENTRY, in its zone and in UTC.

    As Celery's schedules say them, also where clocks change. An entry with an interval counts from its last
    run, here from --since.
    """
    since = since or datetime.now(UTC)
    found = {each.name: list(islice(firings(each, since), count)) for each in _chosen(_entries(app), entry)}
    if context.obj["json"]:
        show_json({name: [moment.isoformat() for moment in moments] for name, moments in found.items()})
        return
    for name, moments in found.items():
        show([name, *[f"  {_both(moment)}" for moment in moments]])


@schedule.command()
@_APP
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--write", is_flag=True, help="Write FILE anew instead.")
@click.option(
    "--since", type=_Moment(), help="With --write: from then on; else as FILE has it, or this year."
)
def verify(app: str, file: Path, write: bool, since: datetime | None) -> None:
    """Compare the firings with FILE, which is kept beside the code: a changed schedule shows in review.

    FILE has each entry's first firings and those around both clock changes of the year. Exit code 1 if they
    are others, and what is different.
    """
    kept = _read(file)
    if kept is None and not write:
        raise TaskfleetError(
            f"there is no {file}: write it with `fleet schedule verify {app} {file} --write`"
        )
    this_year = datetime(datetime.now(UTC).year, 1, 1, tzinfo=UTC)
    begin = since or (datetime.fromisoformat(kept["since"]) if kept else this_year)
    now: dict[str, Any] = {
        "since": begin.isoformat(),
        "entries": {entry.name: expected(entry, begin) for entry in _entries(app)},
    }
    if write:
        file.write_text(json.dumps(now, indent=2) + "\n")
        show([f"{file} has the firings of {len(now['entries'])} entries since {now['since']}"])
        return
    differences = _differences((kept or {})["entries"], now["entries"])
    show(differences or [f"the firings of {len(now['entries'])} entries are those of {file}"])
    sys.exit(1 if differences else 0)


def _entries(app: str) -> list[Entry]:
    sys.path.insert(0, "")  # as the `celery` command does
    loaded = applications.load(app)
    loaded.loader.import_default_modules()
    loaded.finalize()
    own = str(loaded.conf.beat_scheduler)
    if "DatabaseScheduler" in own:
        click.echo(
            f"beat_scheduler is {own}: entries that its database alone has are not known here", err=True
        )
    return entries(loaded)


def _chosen(found: list[Entry], name: str | None) -> list[Entry]:
    chosen = [entry for entry in found if name in (None, entry.name)]
    if name is not None and not chosen:
        known = ", ".join(entry.name for entry in found) or "none"
        raise TaskfleetError(f"there is no entry {name!r}; there are: {known}")
    return chosen


def _row(entry: Entry) -> tuple[str, ...]:
    missed = "sent once" if entry.catch_up else "skipped"
    return (entry.name, entry.task, repr(entry.schedule), str(entry.zone), missed)


def _both(moment: datetime) -> str:
    return f"{moment.isoformat(sep=' ', timespec='seconds')}  {moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _read(file: Path) -> dict[str, Any] | None:
    if not file.exists():
        return None
    try:
        kept = json.loads(file.read_text())
        datetime.fromisoformat(kept["since"])
        kept["entries"].items()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TaskfleetError(
            f"{file} was not written by `fleet schedule verify --write`: {error!r}"
        ) from error
    return dict(kept)


def _differences(kept: dict[str, Any], now: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for name in sorted({*kept, *now}):
        if name not in now:
            lines.append(f"{name}: is no longer there")
        elif name not in kept:
            lines.append(f"{name}: is new, {now[name]['schedule']}")
        else:
            lines += [
                f"{name}: {what}: {json.dumps(kept[name].get(what))} -> {json.dumps(after)}"
                for what, after in now[name].items()
                if kept[name].get(what) != after
            ]
    return lines
