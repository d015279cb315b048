"""`busy-producer`: one process publishes from many threads or greenlets, or many processes do.

First with a thread beside them that computes, and Redis well: nothing goes to SQS and nothing is refused,
however starved they are, while Redis answers, which a `RedisWitness` beside them measures. Then Redis hangs
in the middle of it: all of them turn to SQS in time. None is refused while SQS answers, which a `Witness`
measures. What turns, or is refused, while a witness had no answer in time is counted, not held against us.
"""

from __future__ import annotations

import itertools
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
from drills.redis_witness import RedisWitness
from drills.report import DIRECTORY, Check, Figure, Report
from drills.roles import ROLES
from drills.witness import Witness
from local.journal import Journal
from local.places import REPOSITORY

# Longer than SQS's own call took: that is what Redis's silence may cost a publish.
SWITCH_SECONDS = 1.0
HANG_AFTER_SECONDS, GO_ON_SECONDS = 1.0, 2.0
# A test's short form: each message costs the machine ten times what its publish does, on SQS most of all.
SHORT_HANG_AFTER_SECONDS, SHORT_GO_ON_SECONDS = 0.5, 1.0
# Nothing was executed for so long: what is missing then waits nowhere for a worker to start.
SETTLE_SECONDS = 180.0
# Every task that was accepted and not executed: ``[run, number, broker, at]``.
MISSING = DIRECTORY / "busy-producer-missing.json"
_QUEUE = ("--queue", ROLES.queues[-1])


@dataclass(frozen=True)
class Crowd:
    """Who publishes: so many members in each of so many processes."""

    members: int
    greenlets: bool = False
    processes: int = 1

    @property
    def name(self) -> str:
        """In a report."""
        if self.processes > 1:
            return f"{self.processes}_processes"
        return f"{self.members}_{'greenlets' if self.greenlets else 'threads'}"

    def options(self) -> list[str]:
        """For `drills.crowd`."""
        return ["--members", str(self.members), *(["--greenlets"] if self.greenlets else [])]


CROWDS = (Crowd(16), Crowd(64), Crowd(256), Crowd(100, greenlets=True), Crowd(400, greenlets=True))
SHORT = (Crowd(64), Crowd(100, greenlets=True))
# Each a process that publishes one after the other, as many workers of a web server do.
PROCESSES = (Crowd(1, processes=16), Crowd(1, processes=40))


@dataclass(frozen=True)
class Seen:
    """What one process of a crowd did. ``publishes`` are `drills.crowd`'s lines."""

    crowd: Crowd
    run: str
    publishes: Sequence[tuple[int, float, float, float, str | None]]
    errors: Sequence[str]
    sqs_was_slow: Callable[[float, float], bool] = lambda at, seconds: False
    redis_was_slow: Callable[[float, float], bool] = lambda at, seconds: False
    longest_of_redis: float = 0.0

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
    def turned_without_cause(self) -> int:
        """How many went to SQS or were refused although Redis answered all the while."""
        return sum(
            broker != PRIMARY and not self.redis_was_slow(at, seconds)
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
    count = 300 if short else 3200
    crowds_when_well = crowds if short else (*crowds, *PROCESSES)
    well = [seen for crowd in crowds_when_well for seen in _well(fleet, crowd, count)]
    times = (SHORT_HANG_AFTER_SECONDS, SHORT_GO_ON_SECONDS) if short else (HANG_AFTER_SECONDS, GO_ON_SECONDS)
    hung = [_hung(fleet, crowd, *times) for crowd in crowds]
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
    for name, of_it in itertools.groupby(well, key=lambda seen: seen.crowd.name):
        together = list(of_it)
        to_sqs, refused = (sum(seen.brokers[each] for seen in together) for each in (FALLBACK, None))
        without_cause = sum(seen.turned_without_cause for seen in together)
        longest = max(seen.longest_of_redis for seen in together)
        figures |= {
            f"{name}_to_sqs": to_sqs,
            f"{name}_refused": refused,
            f"{name}_longest_answer_of_redis_seconds": longest,
        }
        some = next(filter(None, map(_some, together)), "")
        text = (
            f"{name}, Redis well: none to SQS, none refused while it answered: {without_cause} of "
            f"{to_sqs} and {refused}{some}"
        )
        checks.append(Check(text, without_cause == 0 < sum(seen.brokers[PRIMARY] for seen in together)))
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


def _well(fleet: Fleet, crowd: Crowd, count: int) -> list[Seen]:
    """What each process of the crowd did; ``count`` publishes of all together, begun at the same time."""
    compute = ["--compute"] if crowd.processes == 1 else []
    options = ["--wait", "--count", str(count // crowd.processes), *compute]
    started = [_start(fleet, crowd, options) for _ in range(crowd.processes)]
    for process, _run in started:
        _wait_until_it_begins(process)
    with RedisWitness(fleet) as witness:
        for process, _run in started:
            _go(process)
        seen = [_end(process, crowd, run) for process, run in started]
    return [replace(each, redis_was_slow=witness.slow, longest_of_redis=witness.longest) for each in seen]


def _go(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None:
        process.stdin.write("\n")
        process.stdin.flush()


def _hung(fleet: Fleet, crowd: Crowd, after: float, go_on: float) -> Seen:
    process, run = _start(fleet, crowd, ["--seconds", str(after + go_on)])
    _wait_until_it_begins(process)
    with Witness(fleet) as witness:
        time.sleep(after)
        fleet.hang_broker()
        try:
            return replace(_end(process, crowd, run), sqs_was_slow=witness.slow)
        finally:
            fleet.heal()


def _start(fleet: Fleet, crowd: Crowd, options: Sequence[str]) -> tuple[subprocess.Popen[str], str]:
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
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process, run


def _wait_until_it_begins(process: subprocess.Popen[str]) -> None:
    said = []
    for line in process.stderr or ():
        if line == "begins\n":
            return
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
