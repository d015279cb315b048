"""`busy-producer`: one process publishes from many threads or greenlets as fast as it can.

First with a thread beside them that computes, and Redis well: nothing goes to SQS and nothing is refused,
however starved the process is. Then Redis hangs in the middle of it: all of them turn to SQS in time. None is
refused while SQS answers, which a `Witness` beside them measures; what is refused while not is counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from taskfleet.contract.environment import FALLBACK, PRIMARY

from drills.drill import SHORT_FORM_TAKES, Drill
from drills.fleet import Fleet
from drills.report import DIRECTORY, Check, Figure, Report
from drills.roles import ROLES
from drills.witness import Witness
from local.journal import Journal
from local.places import REPOSITORY

# Longer than SQS's own call took: that is what Redis's silence may cost a publish.
SWITCH_SECONDS = 1.0
HANG_AFTER_SECONDS, GO_ON_SECONDS = 1.0, 2.0
# Nothing was executed for so long: what is missing then waits nowhere for a worker to start.
SETTLE_SECONDS = 180.0
# Every task that was accepted and not executed: ``[run, number, broker, at]``.
MISSING = DIRECTORY / "busy-producer-missing.json"
_QUEUE = ("--queue", ROLES.queues[-1])


@dataclass(frozen=True)
class Crowd:
    """Who publishes."""

    members: int
    greenlets: bool = False

    @property
    def name(self) -> str:
        """In a report."""
        return f"{self.members}_{'greenlets' if self.greenlets else 'threads'}"

    def options(self) -> list[str]:
        """For `drills.crowd`."""
        return ["--members", str(self.members), *(["--greenlets"] if self.greenlets else [])]


CROWDS = (Crowd(16), Crowd(64), Crowd(256), Crowd(100, greenlets=True), Crowd(400, greenlets=True))
SHORT = (Crowd(64), Crowd(100, greenlets=True))


@dataclass(frozen=True)
class Seen:
    """What one process of a crowd did. ``publishes`` are `drills.crowd`'s lines."""

    crowd: Crowd
    run: str
    publishes: Sequence[tuple[int, float, float, float, str | None]]
    errors: Sequence[str]
    sqs_was_slow: Callable[[float, float], bool] = lambda at, seconds: False

    @property
    def brokers(self) -> Counter[str | None]:
        """How many each accepted; None: refused."""
        return Counter(broker for *_, broker in self.publishes)

    @property
    def refused_without_cause(self) -> int:
        """How many were refused although SQS answered all the while."""
        return sum(
            broker is None and not self.sqs_was_slow(at, seconds)
            for _n, at, seconds, _sqs, broker in self.publishes
        )

    @property
    def longest_switch(self) -> float:
        """The longest that a publish took beyond SQS's own call."""
        return max((seconds - sqs for _n, _at, seconds, sqs, _broker in self.publishes), default=0.0)

    @property
    def accepted(self) -> set[tuple[str, int]]:
        """What must be executed."""
        return {(self.run, number) for number, *_, broker in self.publishes if broker is not None}


def _run(fleet: Fleet, short: bool) -> Report:
    journal, crowds = Journal(fleet.places.journal), SHORT if short else CROWDS
    count = 600 if short else 3200
    well = [_well(fleet, crowd, count) for crowd in crowds]
    hung = [_hung(fleet, crowd) for crowd in crowds]
    lost = _never_executed(journal, [*well, *hung])
    _keep(lost, [*well, *hung])
    return _report(well, hung, lost=len(lost), limit=SWITCH_SECONDS * (SHORT_FORM_TAKES if short else 1.0))


def _report(well: Sequence[Seen], hung: Sequence[Seen], *, lost: int, limit: float) -> Report:
    figures: dict[str, Figure] = {
        "submitted": sum(len(seen.publishes) for seen in (*well, *hung)),
        "lost": lost,
    }
    where = f", listed in {MISSING.relative_to(REPOSITORY)}" if lost else ""
    checks = [Check(f"lost 0: {lost}{where}", lost == 0)]
    for seen in well:
        to_sqs, refused = seen.brokers[FALLBACK], seen.brokers[None]
        figures |= {f"{seen.crowd.name}_to_sqs": to_sqs, f"{seen.crowd.name}_refused": refused}
        text = f"{seen.crowd.name}, Redis well: none to SQS, none refused: {to_sqs}, {refused}{_some(seen)}"
        checks.append(Check(text, seen.brokers == {PRIMARY: len(seen.publishes)}))
    for seen in hung:
        refused, longest = seen.brokers[None], seen.longest_switch
        without_cause = seen.refused_without_cause
        figures |= {f"{seen.crowd.name}_hung_refused": refused, f"{seen.crowd.name}_switch_seconds": longest}
        turned = f"{seen.crowd.name}, Redis hung: {seen.brokers[FALLBACK]} to SQS"
        checks += [
            Check(
                f"{turned}, none refused while SQS answered: {without_cause} of {refused}{_some(seen)}",
                without_cause == 0 < seen.brokers[FALLBACK],
            ),
            Check(f"{turned}, at most {limit:g} s beyond SQS's own: {longest:.3f} s", longest <= limit),
        ]
    return Report(name="busy-producer", checks=checks, figures=figures)


def _some(seen: Seen) -> str:
    return f", for instance {seen.errors[0]}" if seen.errors else ""


def _well(fleet: Fleet, crowd: Crowd, count: int) -> Seen:
    process, run = _start(fleet, crowd, ["--compute", "--count", str(count)])
    return _end(process, crowd, run)


def _hung(fleet: Fleet, crowd: Crowd) -> Seen:
    process, run = _start(fleet, crowd, ["--seconds", str(HANG_AFTER_SECONDS + GO_ON_SECONDS)])
    with Witness(fleet) as witness:
        time.sleep(HANG_AFTER_SECONDS)
        fleet.hang_broker()
        try:
            return replace(_end(process, crowd, run), sqs_was_slow=witness.slow)
        finally:
            fleet.heal()


def _start(fleet: Fleet, crowd: Crowd, options: Sequence[str]) -> tuple[subprocess.Popen[str], str]:
    """Returns when it begins to publish."""
    run = f"busy-producer-{uuid.uuid4().hex[:8]}"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "drills.crowd",
            "--run",
            run,
            *_QUEUE,
            *crowd.options(),
            *options,
        ],
        env=dict(fleet.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = []
    for line in process.stderr or ():
        if line == "begins\n":
            return process, run
        said.append(line)
    raise RuntimeError("the crowd did not begin: " + "".join(said))


def _end(process: subprocess.Popen[str], crowd: Crowd, run: str) -> Seen:
    out, said = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"the crowd failed with code {process.returncode}: {said}")
    seen = json.loads(out)
    return Seen(crowd, run, [tuple(line) for line in seen["publishes"]], seen["errors"])


def _never_executed(journal: Journal, all_seen: Sequence[Seen]) -> set[tuple[str, int]]:
    """What was accepted and is not executed when everything is, or nothing was for `SETTLE_SECONDS`.

    An emulated SQS on a busy machine gives out some thousand messages in minutes: they are late, not lost.
    """
    missing = {task for seen in all_seen for task in seen.accepted}
    end = time.monotonic() + SETTLE_SECONDS
    while missing and time.monotonic() < end:
        executed = {(line["run"], line["n"]) for line in journal.read() if line["event"] == "record"}
        if executed & missing:
            missing -= executed
            end = time.monotonic() + SETTLE_SECONDS
        time.sleep(0.5)
    return missing


def _keep(missing: set[tuple[str, int]], all_seen: Sequence[Seen]) -> None:
    MISSING.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        (seen.run, number, broker, at)
        for seen in all_seen
        for number, at, _seconds, _sqs, broker in seen.publishes
        if (seen.run, number) in missing
    ]
    MISSING.write_text(json.dumps(lines))


BUSY_PRODUCER = Drill(
    "busy-producer", "one process publishes from many threads or greenlets, Redis well and then hung", _run
)
