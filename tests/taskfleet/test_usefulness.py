"""What a worker says of itself after its loop stood still, with a clock of our own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from taskfleet.worker.usefulness import NOT_ASKING_SECONDS, Usefulness


class Worker:
    """Its consumer, and the clock on its wall."""

    def __init__(self, *, child_is_ready: bool, can_consume: bool = True) -> None:
        self.now = 1000.0
        child = SimpleNamespace(inqW_fd=3, _is_alive=lambda: True)
        processes = SimpleNamespace(_all_inqueues={3} if child_is_ready else set(), _pool=[child])
        self.channel = SimpleNamespace(
            _active_queues=["low"], qos=SimpleNamespace(can_consume=lambda: can_consume), asked_at=self.now
        )
        consumer: Any = SimpleNamespace(
            pool=SimpleNamespace(_pool=processes),
            task_consumer=SimpleNamespace(channel=self.channel),
            app=SimpleNamespace(conf=SimpleNamespace(worker_proc_alive_timeout=4.0)),
        )
        starting: Any = SimpleNamespace(problem=lambda: None)
        self.usefulness = Usefulness(consumer, starting, clock=lambda: self.now)

    def look_after(self, seconds: float) -> str | None:
        """What it says then."""
        self.now += seconds
        return self.usefulness.problem()

    def watch(self, seconds: int, *, asking: bool = False) -> str | None:
        """What it says at the end of looking each second."""
        said = None
        for _ in range(seconds):
            if asking:
                self.channel.asked_at = self.now
            said = self.look_after(1.0)
        return said


@pytest.mark.parametrize("child_is_ready", [True, False])
def test_one_that_was_stopped_blames_nobody_when_it_goes_on(child_is_ready: bool) -> None:
    worker = Worker(child_is_ready=child_is_ready)

    assert worker.look_after(1.0) is None
    assert worker.look_after(10 * NOT_ASKING_SECONDS) is None
    assert worker.look_after(1.0) is None


def test_one_without_a_child_says_so_also_if_it_was_stopped_before() -> None:
    worker = Worker(child_is_ready=False)
    worker.look_after(10 * NOT_ASKING_SECONDS)

    assert worker.watch(int(NOT_ASKING_SECONDS) - 10, asking=True) is None
    assert "no child has been ready" in str(worker.watch(20, asking=True))


def test_one_that_asks_for_nothing_says_so() -> None:
    worker = Worker(child_is_ready=True)

    assert worker.watch(200, asking=True) is None
    assert "it has room, and last asked" in str(worker.watch(int(NOT_ASKING_SECONDS) + 2))


def test_one_that_has_no_room_need_not_ask() -> None:
    assert Worker(child_is_ready=True, can_consume=False).watch(200) is None
