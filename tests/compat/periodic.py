"""The chapter on periodic tasks: https://docs.celeryq.dev/en/stable/userguide/periodic-tasks.html"""

from __future__ import annotations

import signal
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from celery import Task
from celery.schedules import crontab, crontab_parser, schedule
from taskfleet.contract import environment as env

from tests.compat.app import app, mark
from tests.compat.context import Context, Process
from tests.compat.feature import feature


@app.task(name="periodic.tick")
def tick(key: str, what: str = "tick") -> None:
    """Leave a mark."""
    mark(key, what)


@app.task(bind=True, name="periodic.stamped")
def stamped(self: Task, key: str) -> None:
    """Leave a mark with where it ran."""
    headers = self.request.headers or {}
    queue = self.request.delivery_info["routing_key"].split(".")[0]
    mark(key, [queue, headers.get("mine"), bool(self.request.expires)])


def marks_of_beat(context: Context) -> str:
    """The beginning of the keys of this client's beat."""
    return f"beat-{context.shared.folder.name}"


def start_beat(context: Context, *arguments: str, key: str, **variables: str) -> Process:
    """A beat of `tests.compat.scheduled`; in its folder it keeps a file, if any."""
    return context.beat(
        *arguments,
        application="tests.compat.scheduled:app",
        **{env.APP.name: "tests.compat.scheduled:app", "COMPAT_BEAT_KEY": key, **variables},
    )


def of_beat(context: Context, entry: str, number: int = 2) -> list[str]:
    """Marks of an entry of the beat that all features here share."""

    def start() -> Any:
        path = context.shared.folder / "beat-schedule"
        arguments = () if context.side.is_fleet else ("-s", str(path))
        made = start_beat(context, *arguments, key=marks_of_beat(context))
        context.keep(made)
        return made

    context.shared.once("beat", start)
    return context.wait_marks(number, key=f"{marks_of_beat(context)}.{entry}", seconds=150)


# Entries.


@feature("`beat_schedule`: seconds", True)
def seconds(context: Context) -> Any:
    return len(of_beat(context, "seconds", 3)) >= 3


@feature("`beat_schedule`: a `timedelta`", True)
def timedelta_(context: Context) -> Any:
    return len(of_beat(context, "timedelta")) >= 2


@feature("`crontab()`: each minute", True)
def crontab_(context: Context) -> Any:
    return len(of_beat(context, "crontab", 1)) >= 1


@feature("a schedule of one's own", True)
def own_schedule(context: Context) -> Any:
    return len(of_beat(context, "own")) >= 2


@feature("`relative`", True)
def relative(context: Context) -> Any:
    return len(of_beat(context, "relative")) >= 2


@feature("`args`, `kwargs` of an entry", "given")
def kwargs(context: Context) -> Any:
    return of_beat(context, "kwargs")[0]


@feature("`options` of an entry: queue, headers, expires", "['high', 'yes', True]")
def options(context: Context) -> Any:
    return of_beat(context, "options")[0]


@feature("`add_periodic_task` in `on_after_configure`", True)
def add_periodic_task(context: Context) -> Any:
    return len(of_beat(context, "added")) >= 2


@feature("`add_periodic_task(crontab(…), expires=…)`", True)
def add_crontab(context: Context) -> Any:
    return len(of_beat(context, "added-crontab", 1)) >= 1


@feature("`add_periodic_task` in `on_after_finalize`", True)
def after_finalize(context: Context) -> Any:
    return len(of_beat(context, "finalized")) >= 2


# Schedules by themselves.

EXAMPLES = {
    "every minute": {},
    "at midnight": {"minute": 0, "hour": 0},
    "every three hours": {"minute": 0, "hour": "*/3"},
    "every three hours by list": {"minute": 0, "hour": "0,3,6,9,12,15,18,21"},
    "every 15 minutes": {"minute": "*/15"},
    "sundays": {"day_of_week": "sunday"},
    "every ten minutes, at night, on two days": {
        "minute": "*/10",
        "hour": "3,17,22",
        "day_of_week": "thu,fri",
    },
    "hours divisible by two or three": {"minute": 0, "hour": "*/2,*/3"},
    "hours divisible by three, and in office hours": {"minute": 0, "hour": "*/3,8-17"},
    "the second of a month": {"minute": 0, "hour": 0, "day_of_month": "2"},
    "even days": {"minute": 0, "hour": 0, "day_of_month": "2-30/2"},
    "the first and third week": {"minute": 0, "hour": 0, "day_of_month": "1-7,15-21"},
    "on 11 May": {"minute": 0, "hour": 0, "day_of_month": "11", "month_of_year": "5"},
    "the first month of each quarter": {"minute": 0, "hour": 0, "month_of_year": "*/3"},
}
FROM = datetime(2026, 1, 15, 10, 7, tzinfo=ZoneInfo("UTC"))


def next_times(made: Any) -> list[str]:
    """The time of each example that comes after `FROM`."""
    found = []
    for fields in EXAMPLES.values():
        when = crontab(**fields, app=made, nowfun=lambda: FROM)
        found.append((FROM + when.remaining_estimate(FROM)).isoformat()[:16])
    return found


@feature(
    "crontab schedules: the examples of the guide",
    [
        "2026-01-15T10:08",
        "2026-01-16T00:00",
        "2026-01-15T12:00",
        "2026-01-15T12:00",
        "2026-01-15T10:15",
        "2026-01-18T00:00",
        "2026-01-15T17:00",
        "2026-01-15T12:00",
        "2026-01-15T11:00",
        "2026-02-02T00:00",
        "2026-01-16T00:00",
        "2026-01-16T00:00",
        "2026-05-11T00:00",
        "2026-01-16T00:00",
    ],
    once=True,
)
def crontab_examples(context: Context) -> Any:
    return next_times(context.make_app())


@feature("time zones: `timezone`", ["Europe/London", "2026-07-01T06:00"], once=True)
def timezone(context: Context) -> Any:
    made = context.make_app(timezone="Europe/London")
    summer = datetime(2026, 7, 1, 0, 30, tzinfo=ZoneInfo("UTC"))
    when = crontab(minute=0, hour=7, app=made, nowfun=lambda: summer.astimezone(made.timezone))
    due = summer + when.remaining_estimate(summer)
    return [str(made.timezone), due.astimezone(ZoneInfo("UTC")).isoformat()[:16]]


@feature("`crontab.is_due`, `schedule.is_due`", [True, False], once=True)
def is_due(context: Context) -> Any:
    made = context.make_app()
    long_ago = made.now() - timedelta(days=2)
    return [
        crontab(app=made).is_due(long_ago).is_due,
        schedule(timedelta(hours=1), app=made).is_due(made.now()).is_due,
    ]


@feature("`crontab.from_string`, `crontab_parser`", ["0 7 * * 1", [0, 15, 30, 45]], once=True)
def from_string(context: Context) -> Any:
    when = crontab.from_string("0 7 * * 1")
    fields = (when._orig_minute, when._orig_hour, when._orig_day_of_month)
    text = " ".join(map(str, (*fields, when._orig_month_of_year, when._orig_day_of_week)))
    return [text, sorted(crontab_parser(60).parse("*/15"))]


# The scheduler.


@feature("beat ends on TERM", 0, once=True)
def ends(context: Context) -> Any:
    beat = start_beat(context, key=context.key).wait_says("beat: Starting")
    beat.send(signal.SIGTERM)
    return beat.ended()


@feature("a custom scheduler class: `beat_scheduler`", "Noting", once=True)
def own_scheduler(context: Context) -> Any:
    start_beat(context, key=context.key, COMPAT_BEAT_SCHEDULER="1")
    return context.wait_marks(key=f"{context.key}.own-scheduler")[0]


@feature("… by `-S` on the command line", "Noting", once=True)
def own_scheduler_option(context: Context) -> Any:
    beat = start_beat(context, "-S", "tests.compat.scheduled:Noting", key=context.key)
    context.wait(lambda: context.marks(f"{context.key}.own-scheduler") or beat.process.poll() is not None)
    return (context.marks(f"{context.key}.own-scheduler") or [beat.text()[-300:]])[0]


@feature("`celery beat -s`, `--max-interval`, `--pidfile`", True, once=True)
def beat_options(context: Context) -> Any:
    path = Path(context.shared.folder / context.key)
    arguments = ("-s", f"{path}.schedule", "--max-interval", "1", f"--pidfile={path}.pid")
    beat = start_beat(context, *arguments, key=context.key)
    context.wait(lambda: Path(f"{path}.pid").exists() or beat.process.poll() is not None)
    return Path(f"{path}.pid").exists()


@feature("last runs are kept in a file: `beat_schedule_filename`", True, once=True)
def schedule_filename(context: Context) -> Any:
    path = Path(context.shared.folder / f"{context.key}.schedule")
    said = {"beat_schedule_filename": str(path)}
    beat = context.beat(
        application="tests.compat.scheduled:app",
        conf=said,
        **{env.APP.name: "tests.compat.scheduled:app", "COMPAT_BEAT_KEY": context.key},
    )
    context.wait_marks(key=f"{context.key}.seconds")
    beat.stop()
    return bool(list(path.parent.glob(f"{path.name}*")))
