"""`fleet release watch`: how far releases are, as they go on."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field

import click
from botocore.exceptions import BotoCoreError, ClientError

from taskfleet.cli.operator import LastSnapshot, Operator, asks
from taskfleet.cli.output import duration, show
from taskfleet.cli.run import TIMED_OUT
from taskfleet.errors import TaskfleetError
from taskfleet.releases.commands import find
from taskfleet.releases.model import LIVE, State
from taskfleet.releases.observation import Observation
from taskfleet.releases.progress import End, Progress, progress
from taskfleet.releases.store import Snapshot

# A rate over less time than this says little.
_RATE_SECONDS = 20.0


@click.command()
@click.argument("release", required=False)
@click.option(
    "--every",
    type=click.FloatRange(min=0.5),
    default=2.0,
    show_default=True,
    help="Seconds between two reads of the state table.",
)
@click.option(
    "--timeout", type=click.FloatRange(min=0), help="End after so many seconds, with exit code 124."
)
@asks
def watch(operator: Operator, release: str | None, every: float, timeout: float | None) -> None:
    """Watch releases: what gates, canaries, bakes and drains wait for, what is left, and when that ends.

    With RELEASE it ends once that release waits for nothing more: exit code 0 when it is current (and has
    baked), drained or waits for a person, 1 when it has failed. Without, it ends at Ctrl-C. Where the output
    is no terminal, it prints what changes, with --json one object a line.
    """
    if release is not None:
        find(operator.store.scan().records, release)
    drains, printed, began = Drains(), "", time.monotonic()
    while True:
        try:
            seen, last = operator.store.scan(), _last(operator)
        except (BotoCoreError, ClientError) as error:
            click.echo(f"the state table can't be read, trying on: {error}", err=True)
        else:
            shown = list(_progress(seen, last, release))
            drains.see(shown, at=time.time())
            printed = _show(operator, shown, drains, _silence(last), printed)
            end = next((each.end for each in shown if each.release == release), None)
            if end is not None:
                sys.exit(1 if end is End.FAILED else 0)
        if timeout is not None and time.monotonic() - began >= timeout:
            sys.exit(TIMED_OUT)
        time.sleep(every)


def _silence(last: LastSnapshot | None) -> str:
    """What to know of the controller, which moves releases on; empty while it looks."""
    if last is not None and not last.silent:
        return ""
    since = "has not looked yet" if last is None else "is silent"
    return f"THE CONTROLLER {since.upper()}: no release moves until it looks: runbooks/controller-silent.md"


def _progress(seen: Snapshot, last: LastSnapshot | None, release: str | None) -> Iterator[Progress]:
    looks = {} if last is None else {each.release: each for each in last.known.releases}
    observed = _observed(seen)
    for record in sorted(seen.records.values(), key=lambda each: each.registered_at):
        if record.release != release and (release is not None or record.state not in LIVE):
            continue
        look = looks.get(record.release)
        # A look at another state says nothing of this one.
        fresh = None if look is None or look.state != record.state else look
        yield progress(
            record,
            observed,
            left=None if fresh is None else fresh.left,
            producers=None if fresh is None else fresh.producers,
            empty_looks=0 if fresh is None else fresh.empty_looks,
            judged="" if fresh is None else fresh.judged,
        )


def _last(operator: Operator) -> LastSnapshot | None:
    try:
        return operator.last_look()
    except TaskfleetError:
        return None


def _observed(seen: Snapshot) -> Observation:
    """What the state table alone says."""
    return Observation(
        now=time.time(),
        records=seen.records,
        manifests=None,
        pointer=seen.pointer,
        published=None,
        proofs=seen.proofs,
        running=None,
        left={},
        deployments=None,
        checks=seen.checks,
        verdicts=seen.verdicts,
    )


@dataclass
class Drains:
    """How fast the drains go: the first and the last that was seen of each, as (epoch seconds, messages)."""

    _first: dict[str, tuple[float, int]] = field(default_factory=dict)
    _last: dict[str, tuple[float, int]] = field(default_factory=dict)

    def see(self, shown: list[Progress], *, at: float) -> None:
        """Remember what is left now."""
        for each in shown:
            total = None if each.left is None else each.left.total
            if each.state != State.DRAINING:
                self._first.pop(each.release, None)  # it may drain again
            elif total is not None:
                self._first.setdefault(each.release, (at, total))
                self._last[each.release] = (at, total)

    def seconds_left(self, release: str) -> float | None:
        """Until nothing is left, if it goes on as it did; None: it does not get less, or was not seen to."""
        if release not in self._first:
            return None
        (began, before), (now, total) = self._first[release], self._last[release]
        if now - began < _RATE_SECONDS or total >= before or not total:
            return None
        return total * (now - began) / (before - total)


def _show(operator: Operator, shown: list[Progress], drains: Drains, silence: str, printed: str) -> str:
    """Print it, if it is news; what was printed last."""
    now, silent = time.time(), [silence] if silence else []
    if operator.json:
        releases = [_as_json(each, drains) for each in shown]
        lines = [json.dumps({"silent": bool(silence), "releases": releases})]
        news = json.dumps([bool(silence), *(_as_json(each, Drains()) for each in shown)])
    elif sys.stdout.isatty():
        click.clear()
        lines, news = [f"{_clock(now)}  (Ctrl-C ends this)", *silent, "", *page(shown, drains, now)], ""
    else:
        short = [*silent, *map(_short, shown)]
        lines, news = [f"{_clock(now)}  {line}" for line in short], "\n".join(short)
    if not news or news != printed:
        show(lines)
        sys.stdout.flush()
    return news


def page(shown: list[Progress], drains: Drains, now: float) -> Iterator[str]:
    """The lines of one page."""
    for each in shown:
        yield f"release {each.release}: {each.state} for {duration(now - each.since)}: {each.reason}"
        for waits in each.waits_for:
            yield f"  waits for {waits}"
        if (seconds := drains.seconds_left(each.release)) is not None:
            yield f"  empty in about {duration(seconds)}, if it goes on like this"
        if each.then:
            at_most = "" if each.until is None else f", in {duration(each.until - now)} at the latest"
            late = each.until is not None and each.until < now
            yield f"  then {each.then}{', and is late' if late else at_most}"
        yield ""
    if not shown:
        yield "there is no release: deploy one with `make deploy`"


def _short(each: Progress) -> str:
    waits = f": waits for {'; '.join(each.waits_for)}" if each.waits_for else f": {each.reason}"
    return f"release {each.release} {each.state}{waits}"


def _as_json(each: Progress, drains: Drains) -> Mapping[str, object]:
    left = None if each.left is None else {**vars(each.left), "total": each.left.total}
    return {**asdict(each), "left": left, "seconds_left": drains.seconds_left(each.release)}


def _clock(now: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(now))
