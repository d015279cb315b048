"""What a drill of a broker says about publishing: how long it took, and what turned to SQS."""

from __future__ import annotations

from taskfleet.contract.environment import FALLBACK, PRIMARY

from drills.drill import Observed
from drills.report import Check, Figure
from drills.tally import first_after, last_after, percentile

LONGEST_PUBLISH_SECONDS = 1.0
MOST_TIMES_SQS = 3.0
OPENED_AFTER_SECONDS = 1.0  # by then every producer has met the fault twice, and its breaker is open


def outage_figures(seen: Observed, *, began: float, ended: float) -> dict[str, Figure]:
    """Of an outage of Redis between two moments."""
    sqs, opened = sqs_p99(seen), open_p99(seen, began=began, ended=ended)
    return {
        "first_fallback_execution_seconds": first_after(seen.executions, began, FALLBACK),
        "fallback_empty_seconds": last_after(seen.executions, ended, FALLBACK),
        "primary_again_seconds": first_after(seen.executions, ended, PRIMARY),
        "breaker_openings": sum(publish.opened for publish in seen.publishes),
        "sqs_p99_seconds": sqs,
        "open_p99_publish_seconds": opened,
        "open_p99_ratio": opened / sqs if opened is not None and sqs else None,
    }


def sqs_p99(seen: Observed) -> float | None:
    """SQS's own: what its calls took in this run, whatever the publish took around them."""
    return percentile([p.sqs_seconds for p in seen.publishes if p.sqs_seconds is not None], 99)


def open_p99(seen: Observed, *, began: float, ended: float) -> float | None:
    """Of the publishes while the breakers were open."""
    opened = began + OPENED_AFTER_SECONDS
    return percentile([p.seconds for p in seen.publishes if opened <= p.at < ended], 99)


def bounded(seen: Observed, seconds: float = LONGEST_PUBLISH_SECONDS) -> Check:
    """No publish took longer."""
    longest, limit = max((publish.seconds for publish in seen.publishes), default=0.0), seen.limit(seconds)
    return Check(f"no publish over {limit:g} s: the longest took {longest:.3f} s", longest <= limit)


def as_fast_as_sqs(seen: Observed, *, began: float, ended: float) -> Check:
    """With the breaker open a publish costs little more than SQS itself."""
    opened, sqs = open_p99(seen, began=began, ended=ended), sqs_p99(seen)
    if opened is None or sqs is None:
        return Check("with the breaker open, publishes go to SQS: there were none", holds=False)
    times = seen.limit(MOST_TIMES_SQS)
    text = f"with the breaker open, 99 % of publishes within {times:g} times SQS's own"
    return Check(f"{text}: {opened / sqs:.2f}", opened <= times * sqs)
