"""What a drill of a broker says about publishing: how long it took, and what turned to SQS."""

from __future__ import annotations

from taskfleet.contract.environment import FALLBACK, PRIMARY

from drills.drill import FAULT, RECOVERY, Observed
from drills.looking import empty_after
from drills.report import Check, Figure
from drills.tally import first_after, percentile

LONGEST_PUBLISH_SECONDS = 1.0
MOST_TIMES_SQS = 3.0
OPENED_AFTER_SECONDS = 1.0  # by then every producer has met the fault twice, and its breaker is open
FIRST_FROM_SQS_SECONDS = 20.0  # on this machine; AWS needs 45 to 75 s more to start a container
LAST_SECONDS = 5.0
MOST_TO_SQS = 0.01  # of the last publishes: a single slow answer is not an outage
MOST_TO_SQS_SHORT = 0.75  # where everything runs at once, slow answers open a breaker again and again


def outage_figures(seen: Observed) -> dict[str, Figure]:
    """Of an outage of Redis, beside those of every drill."""
    sqs, opened = sqs_p99(seen), open_p99(seen)
    return {
        "primary_again_seconds": first_after(seen.executions, seen.moments[RECOVERY], PRIMARY),
        "last_publish_to_sqs_seconds": last_to_sqs(seen),
        "breaker_openings": sum(publish.opened for publish in seen.publishes),
        "sqs_p99_seconds": sqs,
        "open_p99_publish_seconds": opened,
        "open_p99_ratio": opened / sqs if opened is not None and sqs else None,
    }


def sqs_p99(seen: Observed) -> float | None:
    """SQS's own: what its calls took in this run, whatever the publish took around them."""
    return percentile([p.sqs_seconds for p in seen.publishes if p.sqs_seconds is not None], 99)


def open_p99(seen: Observed) -> float | None:
    """Of the publishes while the breakers were open."""
    opened, ended = seen.moments[FAULT] + OPENED_AFTER_SECONDS, seen.moments[RECOVERY]
    return percentile([p.seconds for p in seen.publishes if opened <= p.at < ended], 99)


def last_to_sqs(seen: Observed) -> float | None:
    """Seconds from the recovery of Redis to the last publish that did not return to it."""
    recovery = seen.moments[RECOVERY]
    late = [p.at - recovery for p in seen.publishes if p.broker == FALLBACK and p.at >= recovery]
    return max(late, default=None)


def bounded(seen: Observed, seconds: float = LONGEST_PUBLISH_SECONDS) -> Check:
    """No publish took longer."""
    longest, limit = max((publish.seconds for publish in seen.publishes), default=0.0), seen.limit(seconds)
    return Check(f"no publish over {limit:g} s: the longest took {longest:.3f} s", longest <= limit)


def returned(seen: Observed) -> Check:
    """Publishes go to Redis again, those of every producer."""
    end = max((publish.at for publish in seen.publishes), default=0.0)
    last = [publish for publish in seen.publishes if publish.at >= end - LAST_SECONDS]
    to_sqs = sum(publish.broker != PRIMARY for publish in last)
    most = MOST_TO_SQS_SHORT if seen.short else MOST_TO_SQS
    text = f"of the publishes of the last {LAST_SECONDS:g} s at most {most:.0%} were not taken by Redis"
    return Check(f"{text}: {to_sqs} of {len(last)}", bool(last) and to_sqs <= most * len(last))


def woken(seen: Observed) -> Check:
    """The first task from SQS, counted from the fault: the controller's look, an alarm, a worker's start."""
    first = first_after(seen.executions, seen.moments[FAULT], FALLBACK)
    limit = seen.limit(FIRST_FROM_SQS_SECONDS)
    when = "none did" if first is None else f"after {first:.1f} s"
    return Check(f"a task runs from SQS within {limit:g} s: {when}", first is not None and first <= limit)


def emptied(seen: Observed) -> Check:
    """What went to SQS is done. Not waited for: that its workers go to sleep (`drills.drill.observe`)."""
    seconds = empty_after(seen.looks, seen.moments[RECOVERY])
    when = "it was not" if seconds is None else f"{seconds:.1f} s after Redis was back"
    return Check(f"SQS is empty again: {when}", seconds is not None)


def as_fast_as_sqs(seen: Observed) -> Check:
    """With the breaker open a publish costs little more than SQS itself."""
    opened, sqs = open_p99(seen), sqs_p99(seen)
    if opened is None or sqs is None:
        return Check("with the breaker open, publishes go to SQS: there were none", holds=False)
    times = seen.limit(MOST_TIMES_SQS)
    text = f"with the breaker open, 99 % of publishes within {times:g} times SQS's own"
    return Check(f"{text}: {opened / sqs:.2f}", opened <= times * sqs)
