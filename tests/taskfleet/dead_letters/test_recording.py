"""The outcomes that a worker records beside its main loop: none holds up others, none is dropped silently."""

from __future__ import annotations

import ssl
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from botocore.exceptions import ClientError
from celery.exceptions import NotRegistered
from kombu.exceptions import EncodeError
from redis.exceptions import ConnectionError as RedisConnectionError
from taskfleet.publishing.stored import NotStored
from taskfleet.worker import recording
from taskfleet.worker.recording import Outcome, Recorder, is_permanent

from tests.support.processes import wait_for


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    monkeypatch.setattr(recording, "AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(recording, "ROOM", 2)
    made = Recorder()
    yield made
    made._waiting.clear()  # its threads would go on, and say so amid the output of later tests


def away() -> None:
    raise OSError("the backend is away")


def raising(error: BaseException, tries: list[int]) -> Callable[[], None]:
    def record() -> None:
        tries.append(1)
        raise error

    return record


def not_stored(cause: Exception) -> NotStored:
    error = NotStored(repr(cause), None)
    error.__cause__ = cause
    return error


def client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}}, "PutItem")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TypeError("not JSON"), True),
        (NotRegistered("no.such.task"), True),
        (EncodeError("not JSON"), True),
        (SystemExit(1), True),
        (client_error("ValidationException"), True),
        (not_stored(client_error("ValidationException")), True),
        (client_error("ThrottlingException"), False),
        (RedisConnectionError("refused"), False),
        (not_stored(RedisConnectionError("refused")), False),
        (ssl.SSLCertVerificationError("expired"), False),
        (RuntimeError("Retry limit exceeded"), False),
    ],
    ids=repr,
)
def test_what_trying_again_does_not_change(error: BaseException, expected: bool) -> None:
    assert is_permanent(error) is expected


def test_a_permanent_error_is_tried_once_and_whoever_waits_hears_of_it(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[int] = []
    said: list[str] = []

    recorder.add(
        Outcome(what="the result of task 1", record=raising(TypeError("a set"), tries), instead=said.append)
    )

    wait_for(lambda: said, what="the failure instead")
    assert said == ["TypeError('a set')"]
    assert len(tries) == 1
    assert "the result of task 1 can't be recorded, now or later: TypeError('a set')" in caplog.text


def test_an_error_that_passes_is_tried_until_it_has_passed(recorder: Recorder) -> None:
    tries: list[int] = []

    def record() -> None:
        tries.append(1)
        if len(tries) < 30:  # a minute was the end of it, whatever room there was
            away()

    recorder.add(Outcome(what="a result", record=record))

    wait_for(lambda: len(tries) == 30, seconds=30, what="the try that is well")


def test_one_that_exits_ends_no_thread(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "THREADS", 1)
    recorded = threading.Event()

    recorder.add(Outcome(what="an error callback", record=sys.exit))
    recorder.add(Outcome(what="a result", record=recorded.set))

    assert recorded.wait(30)


def test_slow_ones_hold_up_none_of_the_others(recorder: Recorder) -> None:
    go_on, recorded = threading.Event(), threading.Event()
    for _ in range(recording.THREADS - 1):
        recorder.add(Outcome(what="slow", record=lambda: go_on.wait(60)))

    recorder.add(Outcome(what="a result", record=recorded.set))
    recorder.step()

    assert recorded.wait(30)
    go_on.set()


def test_new_ones_do_not_wait_for_those_that_fail(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "THREADS", 1)
    monkeypatch.setattr(recording, "AGAIN_SECONDS", 0.0)
    failed, recorded = threading.Semaphore(0), threading.Event()

    def fail() -> None:
        failed.release()
        away()

    for _ in range(5):
        recorder.add(Outcome(what="for a backend that is away", record=fail))
    assert failed.acquire(timeout=30)
    recorder.add(Outcome(what="a result", record=recorded.set))

    assert recorded.wait(30)


def test_without_room_the_message_is_not_acknowledged_until_there_is(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "AGAIN_SECONDS", 3600.0)
    monkeypatch.setattr(recording, "PATIENCE_SECONDS", 3600.0)
    monkeypatch.setattr(recording, "LAST_SECONDS", 30.0)  # it returns earlier
    accepted: list[int] = []
    well = threading.Event()

    def record() -> None:
        if not well.is_set():
            away()

    for n in range(4):
        recorder.add(Outcome(what=f"result {n}", record=record, accepted=lambda n=n: accepted.append(n)))  # type: ignore[misc]
        wait_for(lambda n=n: len([each for each in recorder._waiting if each.tries]) == n + 1, what="its try")  # type: ignore[misc]

    recorder.step()
    assert accepted == [0, 1]
    well.set()
    recorder.close()
    assert accepted == [0, 1, 2, 3]


def test_large_results_take_the_room_of_many(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "AGAIN_SECONDS", 3600.0)
    monkeypatch.setattr(recording, "ROOM", 1000)
    monkeypatch.setattr(recording, "ROOM_BYTES", 1000)
    accepted: list[int] = []
    for n in range(5):
        recorder.add(
            Outcome(what=f"result {n}", record=away, accepted=lambda n=n: accepted.append(n), size=400)  # type: ignore[misc]
        )
    assert accepted == [0, 1, 2]


def test_a_message_is_not_kept_for_longer_than_until_it_is_acknowledged(recorder: Recorder) -> None:
    outcome = Outcome(what="a result", record=away, accepted=lambda: None)
    recorder.add(outcome)
    assert outcome.accepted is None


def test_what_is_under_way_takes_room(recorder: Recorder) -> None:
    """Else one more was accepted whenever another was just being tried, and none was ever given up."""
    begun, well, accepted = threading.Event(), threading.Event(), [0]

    def slow() -> None:
        begun.set()
        well.wait(60)

    recorder.add(Outcome(what="slow", record=slow, accepted=lambda: None))
    begun.wait(60)
    for n in (1, 2):
        recorder.add(Outcome(what=f"result {n}", record=away, accepted=lambda n=n: accepted.append(n)))  # type: ignore[misc]
    assert accepted == [0, 1]
    well.set()


def test_for_room_what_had_its_time_is_given_up_by_name(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recording, "PATIENCE_SECONDS", 0.5)
    accepted: list[int] = []

    for n in range(3):
        recorder.add(Outcome(what=f"result {n}", record=away, accepted=lambda n=n: accepted.append(n)))  # type: ignore[misc]

    wait_for(lambda: "result 0 is lost" in caplog.text, what="the first one's end")
    recorder.step()
    assert accepted == [0, 1, 2]


def test_what_a_worker_that_ends_has_not_recorded_is_named(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recording, "LAST_SECONDS", 0.2)

    recorder.add(Outcome(what="the result of task 1", record=away))
    recorder.close()

    assert "the result of task 1 is lost: this worker ends" in caplog.text


def test_a_thread_that_can_not_be_started_is_started_later(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = threading.Event()

    def no_thread(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", no_thread)
        recorder.add(Outcome(what="a result", record=recorded.set))
    recorder.step()

    assert recorded.wait(30)
