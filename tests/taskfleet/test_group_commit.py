"""Group commit: who sends, what goes out together, and that whatever happens nobody waits in vain."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest
from taskfleet.publishing import group_commit
from taskfleet.publishing.group_commit import INTERRUPTED, Entry, GroupCommit
from taskfleet.publishing.refusal import Refusal

from tests.support.processes import wait_for
from tests.support.publishing import together


class Interrupted(BaseException):
    """As a time limit of Celery's, which is raised anywhere."""


class Broker:
    """Notes what it gets; while ``held`` its answers don't come."""

    def __init__(self) -> None:
        self.batches: list[list[object]] = []
        self.threads: list[threading.Thread] = []
        self.held = threading.Event()
        self.held.set()

    def exchange(self, entries: Sequence[Entry]) -> None:
        self.batches.append([entry.content for entry in entries])
        self.threads.append(threading.current_thread())
        self.held.wait(10)
        if entries[0].content == "slow":
            time.sleep(1.5)
        if entries[0].content == "interrupts":
            raise Interrupted
        for entry in entries:
            entry.settle(Refusal("bad") if entry.content == "bad" else None)


@pytest.fixture
def broker() -> Iterator[Broker]:
    made = Broker()
    yield made
    made.held.set()


def commit(broker: Broker, *, round_trips: int = 1, messages: int = 100, size: int = 1000) -> GroupCommit:
    return GroupCommit(broker.exchange, round_trips=round_trips, most_messages=messages, most_bytes=size)


def entry(content: object = "good", size: int = 1, seconds: float = 10.0) -> Entry:
    return Entry(content, size, ends_at=time.monotonic() + seconds)


def send(shared: GroupCommit, one: Entry) -> Refusal | None:
    shared.send([one])
    return one.refusal


def begin(call: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=call)
    thread.start()
    return thread


def test_alone_it_goes_out_at_once_in_its_own_thread(broker: Broker) -> None:
    assert send(commit(broker), entry("alone")) is None

    assert (broker.batches, broker.threads) == ([["alone"]], [threading.current_thread()])


def test_what_waits_goes_out_together_and_each_gets_its_own_answer(broker: Broker) -> None:
    shared = commit(broker)
    answers: dict[object, Refusal | None] = {}
    broker.held.clear()
    first = begin(lambda: send(shared, entry("first")))
    wait_for(lambda: bool(broker.batches), what="the first")
    others = [
        begin(lambda name=name: answers.update({name: send(shared, entry(name))}))  # type: ignore[misc]
        for name in ("a", "bad", "b")
    ]
    wait_for(lambda: len(shared._waiting) == 3, what="the others")

    broker.held.set()
    for thread in (first, *others):
        thread.join(10)

    assert sorted(map(str, broker.batches[1])) == ["a", "b", "bad"]
    assert answers == {"a": None, "b": None, "bad": Refusal("bad")}


@pytest.mark.parametrize(
    ("messages", "size", "batches"), [(2, 1000, [1, 2, 2]), (100, 30, [1, 3, 1]), (100, 5, [1, 1, 1, 1, 1])]
)
def test_a_batch_is_bounded(broker: Broker, messages: int, size: int, batches: list[int]) -> None:
    shared = commit(broker, messages=messages, size=size)
    broker.held.clear()
    threads = []
    for number in range(5):
        threads.append(begin(lambda: send(shared, entry(size=10))))
        wait_for(lambda number=number: len(broker.batches) + len(shared._waiting) == number + 1, what="it")  # type: ignore[misc]

    broker.held.set()
    for thread in threads:
        thread.join(10)

    assert [len(batch) for batch in broker.batches] == batches


def _stands(shared: GroupCommit, broker: Broker, under_way: list[int], waiting: int) -> bool:
    return ([*map(len, broker.batches)], len(shared._waiting)) == (under_way, waiting)


def test_full_round_trips_begin_at_once_as_many_as_allowed(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "BESIDE_SECONDS", 60)
    shared = commit(broker, round_trips=3, messages=3)
    broker.held.clear()
    threads = []

    for number in range(1, 12):
        threads.append(begin(lambda: send(shared, entry())))
        under_way = [1] + [3] * min(2, (number - 1) // 3)
        wait_for(partial(_stands, shared, broker, under_way, number - sum(under_way)), what=f"{under_way}")

    broker.held.set()
    for thread in threads:
        thread.join(10)
    assert sum(len(batch) for batch in broker.batches) == 11
    assert (shared._leading, shared._to_batch) == (set(), 0)


def test_one_that_is_not_full_begins_beside_one_that_takes_long(broker: Broker) -> None:
    shared = commit(broker, round_trips=3)
    broker.held.clear()

    threads = [begin(lambda: send(shared, entry())) for _ in range(3)]

    wait_for(lambda: sum(len(batch) for batch in broker.batches) == 3, what="all are under way")
    assert len(broker.batches) > 1
    threads.append(begin(lambda: send(shared, entry())))
    wait_for(lambda: sum(len(batch) for batch in broker.batches) == 4, what="another beside two")
    broker.held.set()
    for thread in threads:
        thread.join(10)


def test_when_the_first_that_waits_gives_up_the_next_goes_beside(broker: Broker) -> None:
    shared = commit(broker, round_trips=2, messages=2)
    broker.held.clear()
    threads = [begin(lambda: send(shared, entry("first")))]
    wait_for(lambda: bool(broker.batches), what="the first")

    late = send(shared, entry("late", seconds=0.01))
    threads.append(begin(lambda: send(shared, entry("next"))))

    wait_for(lambda: broker.batches == [["first"], ["next"]], what="the next")
    assert late is not None
    broker.held.set()
    for thread in threads:
        thread.join(10)


def test_who_is_out_of_time_leaves_and_says_whether_it_may_have_been_sent(broker: Broker) -> None:
    shared = commit(broker)
    broker.held.clear()
    first = begin(lambda: send(shared, entry("first")))
    wait_for(lambda: bool(broker.batches), what="the first")

    late = send(shared, entry("late", seconds=0.05))
    broker.held.set()
    first.join(10)

    assert late is not None
    assert not late.uncertain
    assert broker.batches == [["first"]], "what was refused is not sent afterwards"


def test_who_is_out_of_time_while_it_is_under_way_gets_its_answer(broker: Broker) -> None:
    shared = commit(broker)
    answers: list[Refusal | None] = []
    broker.held.clear()
    threads = [begin(lambda: send(shared, entry("first")))]
    wait_for(lambda: bool(broker.batches), what="the first")
    threads.append(begin(lambda: send(shared, entry("slow"))))
    wait_for(lambda: len(shared._waiting) == 1, what="the slow one")
    threads.append(begin(lambda: answers.append(send(shared, entry("late", seconds=1.0)))))
    wait_for(lambda: len(shared._waiting) == 2, what="the one that will be late")

    broker.held.set()
    for thread in threads:
        thread.join(10)

    assert (broker.batches[1:], answers) == ([["slow", "late"]], [None])


def test_when_who_sends_is_interrupted_the_others_are_answered_and_the_next_sends(broker: Broker) -> None:
    shared = commit(broker, messages=2)
    answers: list[Refusal | None] = []
    raised: list[BaseException] = []

    def interrupted() -> None:
        try:
            send(shared, entry("interrupts"))
        except Interrupted as error:
            raised.append(error)

    broker.held.clear()
    threads = [begin(lambda: send(shared, entry("first")))]
    wait_for(lambda: bool(broker.batches), what="the first")
    threads.append(begin(interrupted))
    wait_for(lambda: len(shared._waiting) == 1, what="the one that will be interrupted")
    for number in (2, 3):
        threads.append(begin(lambda: answers.append(send(shared, entry("other")))))
        wait_for(lambda number=number: len(shared._waiting) == number, what="the others")  # type: ignore[misc]

    broker.held.set()
    for thread in threads:
        thread.join(10)

    assert len(raised) == 1
    assert sorted(answers, key=str) == [None, INTERRUPTED]
    assert (send(shared, entry("next")), shared._leading) == (None, set())


def test_none_is_sent_twice_and_none_is_forgotten_whatever_happens_at_once(broker: Broker) -> None:
    shared, sent = commit(broker, round_trips=2, messages=7), []
    numbers = iter(range(100_000))
    lock = threading.Lock()

    def publish() -> None:
        with lock:
            number = next(numbers)
        if send(shared, entry(number, seconds=10)) is None:
            sent.append(number)

    together(publish, threads=16, times=100)

    assert sorted(sent) == list(range(1600))
    assert sorted(number for batch in broker.batches for number in batch) == list(range(1600))  # type: ignore[type-var]
