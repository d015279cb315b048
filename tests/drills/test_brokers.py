"""What the broker drills make of what they saw."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drills import broker_cuts, broker_failover, sqs_outage
from drills.__main__ import DRILLS
from drills.drill import Observed
from drills.publishing import as_fast_as_sqs, bounded, outage_figures
from drills.tally import Execution, Publish


def publish(n: int, broker: str | None = "primary", **more: object) -> Publish:
    return replace(Publish(n=n, at=float(n), seconds=0.01, broker=broker), **more)  # type: ignore[arg-type]


def seen(publishes: list[Publish], executions: list[Execution] | None = None, **moments: float) -> Observed:
    return Observed(publishes=publishes, executions=executions or [], records=[], parked=0, moments=moments)


def ran(n: int, at: float, broker: str = "primary") -> Execution:
    return Execution(n=n, at=at, broker=broker)


def test_the_issues_drills_are_all_there() -> None:
    named = {"broker-kill", "broker-hang", "broker-blackhole", "broker-halfopen", "broker-flap"}
    named |= {"broker-failover", "fallback-down", "both-down"}

    assert named <= set(DRILLS)


def test_what_went_to_sqs_is_compared_with_sqs_alone() -> None:
    slow = [publish(n, "fallback", seconds=0.05, sqs_seconds=0.01) for n in range(10, 20)]
    figures = outage_figures(seen(slow), began=5.0, ended=30.0)

    assert (figures["sqs_p99_seconds"], figures["open_p99_publish_seconds"]) == (0.01, 0.05)
    assert figures["open_p99_ratio"] == pytest.approx(5)
    assert not as_fast_as_sqs(seen(slow), began=5.0, ended=30.0).holds
    quick = [replace(one, seconds=0.02) for one in slow]
    assert as_fast_as_sqs(seen(quick), began=5.0, ended=30.0).holds


def test_the_first_second_of_an_outage_opens_the_breakers_and_is_not_compared() -> None:
    waited = publish(5, "fallback", seconds=0.4, sqs_seconds=0.01)
    after = publish(7, "fallback", seconds=0.02, sqs_seconds=0.01)

    assert as_fast_as_sqs(seen([waited, after]), began=5.0, ended=30.0).holds
    assert not bounded(seen([waited]), 0.3).holds


def test_an_outage_in_which_nothing_went_to_sqs_does_not_hold() -> None:
    assert not as_fast_as_sqs(seen([publish(10)]), began=5.0, ended=30.0).holds


def test_consuming_again_is_what_redis_took_and_gave_after_the_fault() -> None:
    publishes = [
        publish(1, queue="high"),  # before the fault
        publish(11, queue="high"),
        publish(12, "fallback", queue="low"),
        publish(13, queue="low"),
    ]
    executions = [ran(1, 10.5), ran(11, 14.0), ran(12, 12.5, "fallback"), ran(13, 25.0), ran(13, 26.0)]

    assert broker_cuts.consuming_again(seen(publishes, executions), 10.0) == {"high": 4.0, "low": 15.0}
    assert broker_cuts.consuming_again(seen(publishes), 10.0) == {"high": None, "low": None}


def test_openings_are_counted_for_each_producer() -> None:
    publishes = [publish(n, opened=n in (0, 1, 3)) for n in range(6)]

    assert broker_cuts.openings_of_each(seen(publishes)) == [1, 2]


def test_only_the_confirmed_queue_must_lose_nothing_in_a_failover() -> None:
    moments = {"replica cut off": 0.0, "moved": 9.0}
    publishes = [publish(1, queue="delivery"), publish(2, queue="high")]

    plain_lost = broker_failover._report(seen(publishes, [ran(1, 2.0)], **moments))
    assert plain_lost.holds
    assert plain_lost.figures["lost_not_confirmed"] == 1
    assert not broker_failover._report(seen(publishes, [ran(2, 2.0)], **moments)).holds


@pytest.mark.parametrize(("may_run", "holds"), [(True, True), (False, False)])
def test_a_refused_publish_that_ran_must_have_said_so(may_run: bool, holds: bool) -> None:
    refused = [publish(1, None, may_run=may_run), publish(2, None)]

    assert sqs_outage._report(seen(refused, [ran(1, 5.0)])).holds is holds


def test_an_error_that_always_says_that_it_may_run_says_nothing() -> None:
    assert not sqs_outage._report(seen([publish(1, None, may_run=True)])).holds


def test_figures_have_plain_names() -> None:
    report = sqs_outage._report(seen([publish(1, None, error="no broker")]))

    assert {"submitted", "executed", "duplicates", "lost", "parked"} <= set(report.figures)
    assert all(name.replace("_", "").isalnum() and name == name.lower() for name in report.figures)
