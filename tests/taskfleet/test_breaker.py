"""The circuit breaker's rules, with a clock of our own."""

from __future__ import annotations

import pytest
from taskfleet.publishing.breaker import Breaker, State


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock)


def opened(breaker: Breaker) -> Breaker:
    """Opens it, from closed."""
    for _ in range(Breaker.FAILURES_TO_OPEN):
        breaker.failed()
    assert breaker.state is State.OPEN
    return breaker


# f: a publish failed, s: one succeeded, +: a probe was answered, -: it was not.
@pytest.mark.parametrize(
    ("events", "state"),
    [
        ("", State.CLOSED),
        ("f", State.CLOSED),
        ("fsf", State.CLOSED),
        ("ff", State.OPEN),
        ("ffs", State.OPEN),  # a straggler that began before it opened
        ("ff-", State.OPEN),
        ("ff+", State.HALF_OPEN),
        ("ff-+", State.HALF_OPEN),
        ("ff+s", State.CLOSED),
        ("ff+f", State.OPEN),  # one failed trial is enough
        ("ff+f+", State.OPEN),  # the second time it must answer twice …
        ("ff+f+-+", State.OPEN),  # … in a row
        ("ff+f++", State.HALF_OPEN),
        ("ff+sff+", State.OPEN),  # flapping: closed, but not for long
        ("ff+sff++s", State.CLOSED),
    ],
)
def test_what_happens_decides_the_state(breaker: Breaker, events: str, state: State) -> None:
    for event in events:
        {
            "f": breaker.failed,
            "s": breaker.succeeded,
            "+": lambda: breaker.probed(True),
            "-": lambda: breaker.probed(False),
        }[event]()

    assert breaker.state is state


def test_only_the_failure_that_opens_it_says_so(breaker: Breaker) -> None:
    assert [breaker.failed() for _ in range(4)] == [False, True, False, False]


def test_closed_lets_everything_through_and_open_nothing(breaker: Breaker) -> None:
    assert breaker.allows()
    assert not opened(breaker).allows()


def test_half_open_lets_one_trial_through_at_a_time(breaker: Breaker, clock: Clock) -> None:
    opened(breaker).probed(True)

    assert [breaker.allows(), breaker.allows()] == [True, False]
    clock.now += Breaker.TRIAL_SECONDS
    assert breaker.allows(), "the first trial never came back"


def test_after_a_steady_while_earlier_openings_are_forgotten(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        opened(breaker)
        for _ in range(Breaker.MOST_PROBES):
            breaker.probed(True)
        breaker.succeeded()
    clock.now += Breaker.STEADY_SECONDS

    opened(breaker).probed(True)

    assert breaker.state is State.HALF_OPEN


def test_a_broker_that_flaps_for_ever_is_still_let_back_in(breaker: Breaker) -> None:
    opened(breaker)
    for _ in range(20):
        for _ in range(Breaker.MOST_PROBES):
            breaker.probed(True)
        assert breaker.state is State.HALF_OPEN
        breaker.failed()
