"""What the broker drills make of what they saw."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drills import broker_cuts, broker_failover, rotate, sqs_outage
from drills.__main__ import DRILLS
from drills.drill import FAULT, RECOVERY, Observed, at_its_rate, common_figures
from drills.load import Load
from drills.looking import Sample, empty_after
from drills.publishing import as_fast_as_sqs, bounded, emptied, outage_figures, returned, woken
from drills.tally import Execution, Publish


def publish(n: int, broker: str | None = "primary", **more: object) -> Publish:
    return replace(Publish(n=n, at=float(n), seconds=0.01, broker=broker), **more)  # type: ignore[arg-type]


def seen(
    publishes: list[Publish],
    executions: list[Execution] | None = None,
    *,
    fault: float = 5.0,
    recovery: float = 30.0,
    looks: list[Sample] | None = None,
) -> Observed:
    return Observed(
        load=Load(rate=0.1, seconds=10),
        publishes=publishes,
        executions=executions or [],
        records=[],
        parked=0,
        moments={FAULT: fault, RECOVERY: recovery},
        looks=looks or [],
    )


def ran(n: int, at: float, broker: str = "primary", pid: int = 7) -> Execution:
    return Execution(n=n, at=at, broker=broker, pid=pid)


def looks(text: str) -> list[Sample]:
    """One a second from 30 on: ``.`` is empty, ``x`` is not."""
    return [Sample(30.0 + second, letter == ".") for second, letter in enumerate(text)]


def test_the_issues_drills_are_all_there() -> None:
    named = {"broker-kill", "broker-hang", "broker-blackhole", "broker-halfopen", "broker-flap"}
    named |= {"broker-failover", "fallback-down", "both-down"}

    assert named <= set(DRILLS)


def test_what_went_to_sqs_is_compared_with_sqs_alone() -> None:
    slow = [publish(n, "fallback", seconds=0.05, sqs_seconds=0.01) for n in range(10, 20)]
    figures = outage_figures(seen(slow))

    assert (figures["sqs_p99_seconds"], figures["open_p99_publish_seconds"]) == (0.01, 0.05)
    assert figures["open_p99_ratio"] == pytest.approx(5)
    assert not as_fast_as_sqs(seen(slow)).holds
    quick = [replace(one, seconds=0.02) for one in slow]
    assert as_fast_as_sqs(seen(quick)).holds


def test_the_first_second_of_an_outage_opens_the_breakers_and_is_not_compared() -> None:
    waited = publish(5, "fallback", seconds=0.4, sqs_seconds=0.01)
    after = publish(7, "fallback", seconds=0.02, sqs_seconds=0.01)

    assert as_fast_as_sqs(seen([waited, after])).holds
    assert not bounded(seen([waited]), 0.3).holds


def test_an_outage_in_which_nothing_went_to_sqs_does_not_hold() -> None:
    assert not as_fast_as_sqs(seen([publish(10)])).holds


@pytest.mark.parametrize(
    ("looked", "expected"), [("", None), (".", 0.0), ("xx..", 2.0), ("..xx...", 4.0), ("x..x", None)]
)
def test_sqs_is_empty_when_it_stays_so(looked: str, expected: float | None) -> None:
    observed = seen([publish(1)], looks=looks(looked))

    assert empty_after(observed.looks, 30.0) == expected
    assert common_figures(observed)["fallback_empty_seconds"] == expected
    assert emptied(observed).holds is (expected is not None)


def test_the_times_of_an_outage_are_from_the_fault_and_from_the_recovery() -> None:
    executions = [ran(1, 4.0, "fallback"), ran(2, 22.0, "fallback"), ran(3, 33.0)]
    observed = seen([publish(1), publish(31, "fallback"), publish(32)], executions)

    assert common_figures(observed)["first_fallback_execution_seconds"] == 17.0
    assert outage_figures(observed)["primary_again_seconds"] == 3.0
    assert outage_figures(observed)["last_publish_to_sqs_seconds"] == 1.0


def test_without_an_outage_they_are_not_there() -> None:
    figures = common_figures(replace(seen([publish(1)], [ran(1, 9.0, "fallback")]), moments={}))

    assert figures["first_fallback_execution_seconds"] is figures["fallback_empty_seconds"] is None


@pytest.mark.parametrize(
    ("to_sqs", "short", "holds"),
    [(0, False, True), (1, False, True), (2, False, False), (75, True, True), (76, True, False)],
)
def test_the_last_publishes_go_to_redis_again(to_sqs: int, short: bool, holds: bool) -> None:
    early = [publish(n, "fallback") for n in range(20)]
    last = [publish(n, "fallback" if n < 100 + to_sqs else "primary", at=96.0) for n in range(100, 200)]

    assert returned(replace(seen([*early, *last]), short=short)).holds is holds


@pytest.mark.parametrize(("late", "holds"), [(0, True), (1, True), (2, False)])
def test_what_is_published_too_late_was_no_load(late: int, holds: bool) -> None:
    ten = [publish(n, at=20.0 if n >= 10 - late else float(n)) for n in range(10)]
    started = [publish(n, at=5.0) for n in range(10, 20)]  # by tasks

    assert at_its_rate(replace(seen([*ten, *started]), load=Load(rate=1, seconds=10))).holds is holds


def test_a_worker_consumes_again_when_it_runs_what_redis_took_after_the_fault() -> None:
    publishes = [publish(1), publish(11), publish(12, "fallback"), publish(13), publish(14)]
    executions = [
        ran(1, 10.5, pid=7),  # it had this before
        ran(12, 12.5, "fallback", pid=7),
        ran(11, 14.0, pid=8),
        ran(13, 25.0, pid=9),
        ran(14, 26.0, pid=9),
    ]
    observed = seen(publishes, executions, fault=10.0)
    workers = {"high": frozenset({8}), "low": frozenset({9, 10}), "deaf": frozenset({7})}

    assert broker_cuts.consuming_again(observed, workers) == {"high": 4.0, "low": 15.0, "deaf": None}


@pytest.mark.parametrize(
    ("pids", "replaced", "holds"), [([8], 0, True), ([8, 7], 0, False), ([8], 1, True), ([], 0, False)]
)
def test_one_deaf_worker_is_not_hidden_by_another(pids: list[int], replaced: int, holds: bool) -> None:
    observed = seen([publish(11)], [ran(11, 14.0, pid=8)], fault=10.0)
    stayed = {f"worker {pid}": frozenset({pid}) for pid in pids}

    report = broker_cuts._half_open_report(observed, stayed, replaced=replaced)

    assert report.checks[-1].holds is holds


def test_openings_are_counted_for_each_producer() -> None:
    publishes = [publish(n, opened=n in (0, 1, 3)) for n in range(6)]

    assert broker_cuts.openings_of_each(seen(publishes)) == [1, 2]


@pytest.mark.parametrize(
    ("executed", "holds"),
    [
        ([0], True),
        ([1], False),  # what was confirmed is lost
        ([0, 1], False),  # the replica did not lag
    ],
)
def test_only_the_confirmed_queue_must_lose_nothing_in_a_failover(executed: list[int], holds: bool) -> None:
    publishes = [publish(0, queue="delivery"), publish(1, queue="etl")]

    report = broker_failover._report(seen(publishes, [ran(n, 2.0) for n in executed], looks=looks(".")))

    assert report.holds is holds
    assert report.figures["lost"] == int(0 not in executed)
    assert report.figures["lost_not_confirmed"] == int(1 not in executed)


@pytest.mark.parametrize(("may_run", "holds"), [(True, True), (False, False)])
def test_a_refused_publish_that_ran_must_have_said_so(may_run: bool, holds: bool) -> None:
    refused = [publish(0, None, may_run=may_run), publish(1, None)]

    assert sqs_outage._report(seen(refused, [ran(0, 5.0)])).holds is holds


def test_an_error_that_always_says_that_it_may_run_says_nothing() -> None:
    assert not sqs_outage._report(seen([publish(1, None, may_run=True)])).holds


def test_figures_have_plain_names() -> None:
    report = sqs_outage._report(seen([publish(1, None, error="no broker")]))

    assert {"submitted", "executed", "duplicates", "lost", "parked"} <= set(report.figures)
    assert all(name.replace("_", "").isalnum() and name == name.lower() for name in report.figures)


@pytest.mark.parametrize(("at", "holds"), [(24.9, True), (25.1, False), (None, False)])
def test_workers_on_sqs_begin_in_time(at: float | None, holds: bool) -> None:
    """The fault is at 5 s; what Redis' workers run does not count."""
    executions = [ran(1, 6.0, "primary"), *([ran(2, at, "fallback")] if at else [])]
    assert woken(seen([publish(1)], executions)).holds is holds


@pytest.mark.parametrize(
    ("old_taken", "new_taken", "ran_again", "holds"),
    [
        (False, True, None, True),
        (True, True, None, False),
        (False, False, None, False),
        (False, True, 1, True),  # SQS took it too
        (False, True, 0, False),
    ],
)
def test_after_a_rotation_the_old_password_is_refused_and_duplicates_are_explained(
    old_taken: bool, new_taken: bool, ran_again: int | None, holds: bool
) -> None:
    executions = [ran(0, 1.0), ran(1, 2.0), *([] if ran_again is None else [ran(ran_again, 3.0)])]
    observed = seen([publish(0), publish(1, "fallback")], executions)

    report = rotate.report(observed, old_taken=old_taken, new_taken=new_taken)

    (answer, duplicates) = report.checks[-2:]
    assert (answer.holds and duplicates.holds) is holds
