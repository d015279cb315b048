"""`poison`: messages that no worker may run, of ten kinds, among good ones."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing

from taskfleet.contract import names
from taskfleet.dead_letters.dead_letter import Heading

from drills.child_kill import still_there
from drills.drill import (
    Drill,
    Event,
    Observed,
    common_checks,
    common_figures,
    observe,
)
from drills.fleet import Fleet
from drills.load import Load
from drills.malformed import MALFORMED, matched
from drills.report import Check, Report
from drills.roles import ROLES
from drills.worker_kill import POOLS
from local.broker import nodes

QUEUES = ROLES.queues
BATCHES = 10
# The fallback workers must wake for what is on SQS.
PARKED_WITHIN_SECONDS = 180.0


class Poisoner:
    """Puts malformed messages into the queues as no producer of ours would, a tenth of them on SQS.

    Without ``sqs`` all go to Redis: nobody waits for the fallback workers to wake.
    """

    def __init__(self, fleet: Fleet, *, each: int, sqs: bool) -> None:
        self._fleet, self.each, self._sqs = fleet, each, sqs
        self.release = fleet.release()
        self._texts = self._all()
        self._batch = -(-self.total // BATCHES)

    @property
    def total(self) -> int:
        """Of all kinds together."""
        return self.each * len(MALFORMED)

    def _all(self) -> Iterator[tuple[bool, str, str]]:
        """(on SQS, queue, text), the kinds in turn."""
        queues = itertools.cycle(QUEUES)
        for number in range(self.each):
            queue, on_sqs = next(queues), self._sqs and number % 10 == 0
            yield from ((on_sqs, queue, malformed.text(queue, self.release)) for malformed in MALFORMED)

    def put(self) -> None:
        """The next batch."""
        fleet, sqs = self._fleet, self._fleet.client("sqs")
        urls = {q: sqs.get_queue_url(QueueName=fleet.twin(q))["QueueUrl"] for q in QUEUES}
        with closing(fleet.node(nodes.primary(fleet.places, fleet.ports))) as primary:
            for on_sqs, queue, text in itertools.islice(self._texts, self._batch):
                if on_sqs:
                    sqs.send_message(QueueUrl=urls[queue], MessageBody=text)
                else:
                    primary.lpush(names.versioned_queue(queue, self.release), text)

    def letters(self, since: float) -> list[Heading]:
        """What was put aside since then, seconds since the epoch."""
        headings = self._fleet.letters().headings(QUEUES)
        return list(itertools.takewhile(lambda heading: heading.at >= since, headings))

    def wait_until_parked(self, since: float) -> list[Heading]:
        """Every letter there is when all are parked, or when it has taken too long."""
        end = time.monotonic() + PARKED_WITHIN_SECONDS
        while len(found := self.letters(since)) < self.total and time.monotonic() < end:
            time.sleep(2)
        return found

    def clear(self, found: Sequence[Heading]) -> None:
        """The alarm is not left ringing."""
        for heading in found:
            self._fleet.letters().delete(heading.id)


def _run(fleet: Fleet, short: bool) -> Report:
    load = Load(rate=40, seconds=15) if short else Load(rate=100, seconds=100)
    poisoner = Poisoner(fleet, each=4 if short else 100, sqs=not short)
    apart = load.seconds / (BATCHES + 1)
    events = [Event((n + 1) * apart, f"batch {n}", poisoner.put) for n in range(BATCHES)]
    before = fleet.workers(*POOLS)
    since = round(time.time(), 3)
    seen = observe(fleet, "poison", load, events, settle_seconds=60 if short else 180, short=short)
    found = poisoner.wait_until_parked(since)
    try:
        return _report(seen, found, poisoner, workers_gone=fleet.gone(before))
    finally:
        poisoner.clear(found)


def _report(seen: Observed, found: Sequence[Heading], poisoner: Poisoner, *, workers_gone: int) -> Report:
    by_kind = Counter(heading.kind for heading in found)
    counted = matched(by_kind, poisoner.each)
    missing = {name: number for name, number in counted.items() if number < poisoner.each}
    without = sum(not heading.reason for heading in found)
    figures = common_figures(seen) | {
        "malformed": poisoner.total,
        "parked": len(found),
        **{f"parked_as_{kind}": number for kind, number in sorted(by_kind.items())},
        "workers_ended": workers_gone,
    }
    checks = [
        *common_checks(seen),
        still_there(workers_gone),
        Check(f"parked all of {poisoner.total}: {len(found)}", len(found) == poisoner.total),
        Check(
            f"{poisoner.each} of each of the {len(MALFORMED)} kinds were told apart"
            + (f", but {missing}" if missing else ""),
            not missing,
        ),
        Check(f"each has a reason: {without} have none", not without),
    ]
    return Report(name="poison", checks=checks, figures=figures)


POISON = Drill(
    "poison", "1,000 malformed messages of ten kinds among 10,000 good ones, on both brokers", _run
)
