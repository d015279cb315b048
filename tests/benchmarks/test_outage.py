"""What the `outage` benchmark makes of calls and executions."""

from __future__ import annotations

from benchmarks.outage import OURS, report, shown, table
from benchmarks.outage_result import Call, Outage, Result

OUTAGE = Outage(began=5.0, ended=15.0, watched_until=75.0)


def call(n: int, at: float, seconds: float | None = 0.01, error: str | None = None) -> Call:
    return Call(n=n, at=at, seconds=seconds, error=error)


def test_a_call_that_returned_and_was_not_executed_is_lost_and_one_that_raised_is_not() -> None:
    result = Result(OUTAGE, [call(0, 1), call(1, 6), call(2, 7, error="gone")], [(0, 1.1)], 3, 0)

    assert (result.accepted, result.refused, result.lost, result.not_sent) == (2, 1, 1, 0)


def test_a_call_that_hangs_counts_until_the_watch_ended_and_so_do_those_behind_it() -> None:
    result = Result(OUTAGE, [call(0, 1), call(1, 6, seconds=None)], [(0, 1.1)], 10, 0)

    assert result.longest_publish == (69.0, False)
    assert (result.not_sent, result.lost) == (9, 0)


def test_recovery_is_the_first_execution_of_something_published_after_the_return() -> None:
    calls = [call(0, 14), call(1, 16), call(2, 17)]

    assert Result(OUTAGE, calls, [(0, 15.5), (1, 21.0), (2, 19.0)], 3, 0).recovery == (4.0, True)
    assert Result(OUTAGE, calls, [(0, 15.5)], 3, 0).recovery == (60.0, False)


def test_twice_is_counted_once() -> None:
    assert Result(OUTAGE, [call(0, 1)], [(0, 1.1), (0, 9.0)], 1, 0).duplicates == 1


def test_what_had_not_ended_is_shown_as_more_than() -> None:
    assert shown(69.9, False) == "> 69"
    assert shown(0.406, True) == "0.41"


def test_ours_must_lose_nothing_while_others_may() -> None:
    lost = Result(OUTAGE, [call(0, 1)], [], 1, 0)
    kept = Result(OUTAGE, [call(0, 1)], [(0, 1.1)], 1, 0)

    assert report({("plain", "broker-kill"): lost, (OURS, "broker-kill"): kept}).holds
    assert not report({(OURS, "broker-kill"): lost}).holds
    assert (
        table({("plain", "broker-kill"): lost})
        .splitlines()[2]
        .startswith("| Celery | broker-kill | 1 | 0 | 0 | 1 |")
    )
