"""The outcomes that a worker records beside its main loop: one that fails holds up none of the others."""

from __future__ import annotations

import queue
import threading
from typing import Any

import pytest
from celery import Celery
from taskfleet.worker import outcomes
from taskfleet.worker.outcomes import Outcomes

from tests.support.processes import wait_for


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Outcomes:
    monkeypatch.setattr(outcomes, "AGAIN_SECONDS", 0.1)
    monkeypatch.setattr(outcomes, "TRIES", 3)
    monkeypatch.setattr(outcomes, "ROOM", 4)
    return Outcomes(Celery("outcomes", set_as_current=False))


def test_one_that_is_never_recorded_holds_up_nobody_and_ends(
    recorder: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "AGAIN_SECONDS", 3600.0)
    recorded: list[str] = []
    tried = threading.Event()

    def bad(_backend: Any) -> None:
        tried.set()
        raise TypeError("a callback that is none")

    recorder._note(bad)
    recorder._note(lambda _backend: recorded.append("good"))

    wait_for(lambda: recorded == ["good"], what="the good one, behind the bad one")
    assert tried.is_set()


def test_one_that_fails_is_tried_again_until_it_is_given_up(
    recorder: Outcomes, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[int] = []

    def bad(_backend: Any) -> None:
        tries.append(1)
        raise OSError("the backend is away")

    recorder._note(bad)

    wait_for(lambda: "is lost" in caplog.text, what="the end of its tries")
    assert len(tries) == 3


def test_there_is_room_for_so_many_and_no_more(recorder: Outcomes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "AGAIN_SECONDS", 3600.0)
    tried: list[int] = []

    def bad(_backend: Any) -> None:
        tried.append(1)
        raise OSError("the backend is away")

    for _ in range(4):
        recorder._note(bad)
    wait_for(lambda: len(tried) == 4 and len(recorder._waiting) == 4, what="the first try of each")

    with pytest.raises(queue.Full):
        recorder._note(bad)
