"""What a worker or a producer does in the background goes on, whatever ended one of its rounds."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.worker import state as worker_state
from kombu.utils.objects import cached_property
from redis.exceptions import ConnectionError as RedisConnectionError
from taskfleet import deadline
from taskfleet.brokers.redis.commands import Commands, Keys, Lease
from taskfleet.brokers.redis.session import Session
from taskfleet.cached_read import CachedRead, Interrupted
from taskfleet.contract import names, state
from taskfleet.publishing.breaker import Breaker, State
from taskfleet.publishing.leasing import ProducerLease, Who
from taskfleet.publishing.probe import Probe
from taskfleet.revokes import SLOT_SECONDS, Revokes
from taskfleet.worker import forking, revoking
from taskfleet.worker.consumer import _each
from taskfleet.worker.revoking import Revoking

from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.support.valkey import Valkey


@pytest.fixture
def reading(fleet: TinyFleet, monkeypatch: pytest.MonkeyPatch) -> Iterator[Revoking]:
    """What a worker reads revokes with."""
    monkeypatch.setattr(revoking, "EVERY_SECONDS", 0.05)
    worker_state.revoked.clear()
    app: Celery = fleet.app()
    made = Revoking(SimpleNamespace(app=app, hostname="low", controller=None))
    yield made
    made.stop()


def revoked(fleet: TinyFleet, reading: Revoking, task_id: str) -> None:
    """Ask for one and wait until it is applied."""
    Revokes(fleet.aws.client("dynamodb"), fleet.name).add("revoke", {"task_id": task_id})

    def applied() -> bool:
        reading.step()
        return task_id in worker_state.revoked

    wait_for(applied, seconds=30, what="the revoke")


def test_revokes_are_read_though_no_thread_could_be_started_at_first(
    fleet: TinyFleet, reading: Revoking, no_threads: list[str]
) -> None:
    no_threads.append("")

    reading.start()
    revoked(fleet, reading, "later")

    assert no_threads == []


def test_revokes_are_read_on_after_an_error_of_any_kind(
    fleet: TinyFleet, reading: Revoking, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest, failures = Revokes.newest, [KeyError("a reply that is not DynamoDB's"), RuntimeError("no thread")]

    def failing(kept: Revokes) -> set[str]:
        if failures:
            raise failures.pop()
        return newest(kept)

    monkeypatch.setattr(Revokes, "newest", failing)

    reading.start()
    revoked(fleet, reading, "later")

    assert failures == []


def test_an_item_without_revokes_hides_none_of_the_others(fleet: TinyFleet) -> None:
    dynamodb = fleet.aws.client("dynamodb")
    slot = int(time.time() // SLOT_SECONDS)
    item = {state.KEY: {"S": state.revokes(slot - 1)}}
    dynamodb.put_item(TableName=names.state_table(fleet.name), Item=item)
    kept = Revokes(dynamodb, fleet.name)
    kept.add("revoke", {"task_id": "one"})

    assert len(kept.all()) == 1


def test_a_page_that_is_never_read_whole_has_an_end() -> None:
    class Throttling:
        """Answers as DynamoDB does: with status 200, and nothing read."""

        def batch_get_item(self, **request: Any) -> Any:
            return {"Responses": {}, "UnprocessedKeys": request["RequestItems"]}

    with pytest.raises(TimeoutError, match="unread"):
        Revokes(Throttling(), "prod").newest()


def test_whoever_reads_for_all_and_is_stopped_leaves_nobody_waiting(no_threads: list[str]) -> None:
    results: list[Any] = [SystemExit("a time limit"), "value"]

    def read() -> str:
        result = results.pop(0)
        if isinstance(result, BaseException):
            raise result
        return str(result)

    kept: CachedRead[str] = CachedRead("a value", read, keep_seconds=60, clock=lambda: 0.0)
    no_threads.append("")
    with pytest.raises(SystemExit):
        kept.get()
    kept._until = -1.0  # its second has passed

    with deadline.within(20):
        assert kept.get() == "value"


def test_whoever_waits_for_a_read_that_was_stopped_hears_of_it() -> None:
    def read() -> str:
        raise SystemExit("the thread is told to go")

    with deadline.within(20), pytest.raises(Interrupted):
        CachedRead("a value", read, keep_seconds=60).get()


def test_a_probe_whose_start_was_interrupted_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskfleet.publishing.probe.PROBE_SECONDS", 0.01)
    breaker = Breaker()
    for _ in range(Breaker.FAILURES_TO_OPEN):
        breaker.failed()
    probe = Probe(breaker, lambda: True)
    with monkeypatch.context() as once:
        once.setattr("threading.Thread.start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            probe.start()
    probe.start()

    wait_for(lambda: breaker.state is State.HALF_OPEN, seconds=30, what="the probe")


def interrupted(_thread: Any) -> None:
    raise KeyboardInterrupt


def test_a_read_whose_start_was_interrupted_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = CachedRead("a value", lambda: "it", keep_seconds=60)
    with monkeypatch.context() as once:
        once.setattr("threading.Thread.start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            kept.get()

    with deadline.within(5):
        assert kept.get() == "it"


def test_a_producers_lease_whose_start_was_interrupted_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[object] = []
    store = SimpleNamespace(write=written.append, forget=lambda _process: None)
    current = frozenset({"r1"})
    releases = SimpleNamespace(known=current, held=lambda **_: current, leased=lambda _began: None)
    monkeypatch.setattr("taskfleet.publishing.leasing.FIRST_SECONDS", 0.01)
    lease = ProducerLease(Who("host", 1, "app"), store, releases, bound_release=None)  # type: ignore[arg-type]
    with monkeypatch.context() as once:
        once.setattr("threading.Thread.start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            lease.used("r1")

    lease.used("r1")

    wait_for(lambda: written, what="its first lease")
    lease.end()


def test_a_lease_is_renewed_though_its_connection_could_not_be_made_at_first(valkey: Valkey) -> None:
    keys, lease, failures = Keys("unacked-b", "index-b", ""), Lease(0.5), [OSError("no socket")] * 2
    beats: list[str] = []

    class Counting(Commands):
        def beat(self, session: str, *, cursor: str) -> tuple[bool, str]:
            answer = super().beat(session, cursor=cursor)
            beats.append(session)
            return answer

    def make() -> Commands:
        if failures:
            raise failures.pop()
        return Counting(valkey.client(), keys, lease)

    session = Session(make)
    session.open(Commands(valkey.client(), keys, lease))
    try:
        wait_for(lambda: beats, seconds=30, what="a beat")
    finally:
        session.abandon((), make)
    assert failures == []


class Lazy:
    """Of Celery's kind: one lock for all instances."""

    begun, go_on = threading.Event(), threading.Event()

    @cached_property
    def value(self) -> int:
        self.begun.set()
        self.go_on.wait(60)
        return 1


def test_a_child_is_not_kept_by_what_another_thread_was_making_as_it_was_forked() -> None:
    forking.free_locks_in_children()
    making = threading.Thread(target=lambda: Lazy().value)
    making.start()
    assert Lazy.begun.wait(30)

    pid = os.fork()
    if not pid:
        signal.alarm(20)  # ends it if it waits
        Lazy.go_on = threading.Event()
        Lazy.go_on.set()
        os._exit(0 if Lazy().value == 1 else 1)
    _, status = os.waitpid(pid, 0)
    Lazy.go_on.set()
    making.join(30)

    assert os.waitstatus_to_exitcode(status) == 0


def test_a_lazy_object_in_some_module_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django's settings make themselves when they are asked for their class, and raise if they can't."""

    class Settings:
        @property
        def __class__(self) -> Any:
            raise RuntimeError("settings are not configured")

    monkeypatch.setattr(deadline, "settings", Settings(), raising=False)
    forking.free_locks_in_children()


def test_a_part_of_the_main_loop_that_fails_keeps_no_other_from_its_turn() -> None:
    turns: list[str] = []

    def fails() -> None:
        raise ValueError("whatever")

    def loses_its_connection() -> None:
        raise RedisConnectionError("gone")

    _each(fails, lambda: turns.append("next"), passing=(RedisConnectionError,))
    with pytest.raises(RedisConnectionError):
        _each(loses_its_connection, passing=(RedisConnectionError,))

    assert turns == ["next"]
