"""Many calls become one: n items, or those of t seconds, over all workers.

A message brings one item; its run adds it to what waits under its key (`taskfleet.tools.waiting`) and ends.
A batch is run by a wake-up, a message of the same task that names one item: it runs batches from the front
until that item's is among them, and does nothing if that was run already. A wake-up is published for the
first item under a key, for each n-th, and for the first that a batch leaves behind, in each case before the
message that caused it is acknowledged. So as long as something waits, there is a message that will look.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from celery.exceptions import Ignore, Reject, Retry

from taskfleet import aws
from taskfleet.contract import tools as keys
from taskfleet.errors import TaskfleetError
from taskfleet.logs import logger
from taskfleet.publishing import behalf
from taskfleet.tools import running, waiting
from taskfleet.tools.keys import text
from taskfleet.tools.limits import LEASE_SECONDS
from taskfleet.tools.rescheduling import later, spread
from taskfleet.tools.waiting import Waiting, WaitingItems

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

HEADER = "taskfleet-batch"
_ALONE, _WAKE = "alone", "wake"
# DynamoDB takes so many operators in one expression, and some more.
MOST_ITEMS = 200
_BUSY_SECONDS = 1.0

_keys: ContextVar[tuple[str, ...] | None] = ContextVar("taskfleet_batch_keys", default=None)


class ItemFailed(TaskfleetError):
    """An item failed again when it was run alone; the task's own retries may handle it."""


def batch(
    most: int, *, seconds: float, by: Sequence[str] = (), lease_seconds: float = LEASE_SECONDS
) -> Callable[[F], F]:
    """Run many calls as one: ``most`` items, or those of ``seconds``; put it below ``@app.task``.

    The task is published with one argument, the item: ``index.delay({"id": 7})``. The function gets a list
    of items. ``by`` names members of an item, then an object: each of their values has batches of its own.
    Under one key batches run one after the other, and items are in the order in which workers took them.

    An item that fails is run alone, in a list of one, and the others stand: the function returns the
    positions of items that failed (``[0, 3]``), or raises, and then each item is run alone. What fails alone
    is handled as the task's retries say, and ends as a dead letter with its reason; positions that are
    returned then raise `ItemFailed`. An item may be in two batches after a crash: `batch_keys`.

    Items wait in DynamoDB, 100 KB of them under one key; while there is no room, messages wait. Batches are
    of one release. Nothing can follow an item (a chain, a chord), and its result is not kept.
    """
    if not 2 <= most <= MOST_ITEMS or seconds <= 0 or lease_seconds < 1:
        raise ValueError(
            f"batch({most}, seconds={seconds}): 2 to {MOST_ITEMS} items, above 0 s, a lease of 1 s or more"
        )

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def run(*message: Any, **named: Any) -> Any:
            *bound, item = (*message, *named.values())  # the task itself comes first with bind=True
            of_items = functools.partial(function, *bound)
            task = running.task_of_a_message()
            if task is None:
                return of_items([item])
            return _Message(task, of_items, _Options(most, seconds, tuple(by), lease_seconds)).take(item)

        return run  # type: ignore[return-value]

    return decorate


def batch_keys() -> tuple[str, ...]:
    """The key of each item of the running batch, in their order: as `taskfleet.idempotency_key` of each.

    Raises ``RuntimeError`` outside a batch.
    """
    known = _keys.get()
    if known is None:
        raise RuntimeError(
            "batch_keys() was called outside a task with @batch, or in one that no message started"
        )
    return known


def positions(returned: Any, many: int) -> list[int]:
    """Of the items that failed. Raises ``TypeError`` for what can't be positions in ``many`` items."""
    failed = sorted(set(returned)) if isinstance(returned, Iterable) else []
    if returned is not None and (
        not isinstance(returned, Iterable)
        or any(type(place) is not int or not 0 <= place < many for place in failed)
    ):
        raise TypeError(
            f"a batch returned {returned!r}: it returns None, or the positions of those of its {many} items "
            "that failed"
        )
    return failed


@dataclass(frozen=True)
class _Options:
    most: int
    seconds: float
    by: tuple[str, ...]
    lease_seconds: float


class _Message:
    """One message of a batched task: an item, an item alone, or a wake-up."""

    def __init__(self, task: Any, function: Callable[[list[Any]], Any], options: _Options) -> None:
        self._task, self._function, self._options = task, function, options
        known = task.app.taskfleet.settings
        self._release = str(known.bound_release)
        self._items = WaitingItems(aws.client("dynamodb"), known.environment)

    def take(self, item: Any) -> None:
        kind = (self._task.request.headers or {}).get(HEADER)
        if kind == _ALONE:
            self._alone(item)
        elif kind == _WAKE:
            self._batch(item["item"], item["key"])
        else:
            self._add(item)

    def _add(self, item: Any) -> NoReturn:
        request = self._task.request
        if request.chain or request.callbacks or request.chord:
            raise TaskfleetError(
                f"{self._task.name} is run in batches: nothing can follow one item of it (a chain, a link, a "
                "chord). Publish what follows in the task itself"
            )
        key, written = self._key(item), waiting.entry(request.id, item)
        now = self._known(self._items.add, self._record(key), written)
        if now is None:
            if written not in self._known(self._items.read, self._record(key)).entries:
                later(self._task, spread(_BUSY_SECONDS))
            self._wake(request.id, key, self._options.seconds)  # who added it may not have come to this
        elif len(now.entries) % self._options.most == 0 or now.size >= waiting.MOST_BYTES:
            self._wake(request.id, key, 0)
        elif len(now.entries) == 1:
            self._wake(request.id, key, self._options.seconds)
        raise Ignore

    def _batch(self, id: str, key: str) -> None:
        record = self._record(key)
        if not self._known(self._items.read, record).has(id):
            return
        with running.alone(
            self._task,
            keys.limit(record, ""),
            seconds=self._options.lease_seconds,
            wait_seconds=_BUSY_SECONDS,
        ):
            began, now = time.monotonic(), self._known(self._items.read, record)
            if not now.has(id):
                return
            done = now.entries[: self._options.most]
            self._run([waiting.read(each) for each in done])
            self._drop(id, key, now, done, began)

    def _run(self, items: list[tuple[str, Any]]) -> None:
        """Run them as one, and publish those that failed."""
        try:
            with _known_as(tuple(id for id, _ in items)):
                failed = positions(self._function([item for _, item in items]), len(items))
        except (Ignore, Reject, Retry):
            raise
        except Exception:  # noqa: BLE001 - each item shows alone what it raises
            what = "%s: each of %d items is run alone, since the batch raised"
            logger.warning(what, self._task.name, len(items), exc_info=True)
            failed = list(range(len(items)))
        for place in failed:
            id, item = items[place]
            self._publish((item,), _ALONE, task_id=id)

    def _drop(self, id: str, key: str, now: Waiting, done: Sequence[str], began: float) -> None:
        """What is done waits no more, and somebody will look at what does."""
        record = self._record(key)
        while now.entries[:1] == tuple(done[:1]):  # else another took it: the lease had ended
            rest = Waiting(now.entries[len(done) :], now.size - sum(len(each.encode()) for each in done))
            if rest.entries:
                hurry = rest.has(id) or rest.is_full(self._options.most)
                left = self._options.seconds - (time.monotonic() - began)
                self._wake(waiting.read(rest.entries[0])[0], key, 0 if hurry else max(0.0, left))
            if self._known(functools.partial(self._items.drop, only_if_last=not rest.entries), record, done):
                return
            now = self._known(self._items.read, record)

    def _alone(self, item: Any) -> None:
        with _known_as((self._task.request.id,)):
            failed = positions(self._function([item]), 1)
        if failed:
            raise ItemFailed(f"{self._task.name}: this item failed in its batch, and again alone")

    def _wake(self, id: str, key: str, countdown: float) -> None:
        self._publish(({"item": id, "key": key},), _WAKE, countdown=countdown or None)

    def _publish(self, args: tuple[Any, ...], kind: str, **options: Any) -> None:
        queue = (self._task.request.delivery_info or {}).get("routing_key")
        with behalf.giving_back():
            self._task.apply_async(args, headers={HEADER: kind}, queue=queue, **options)

    def _key(self, item: Any) -> str:
        by = self._options.by
        try:
            return text([item[name] for name in by]) if by else ""
        except (TypeError, KeyError, IndexError) as error:
            raise TaskfleetError(
                f"{self._task.name}: an item is an object with {', '.join(by)} (by={by}), not {item!r:.200}"
            ) from error

    def _record(self, key: str) -> str:
        return keys.batch(self._release, self._task.name, key)

    def _known(self, call: Callable[..., T], *args: Any) -> T:
        return running.known(self._task, call, *args, wait_seconds=_BUSY_SECONDS)


@contextmanager
def _known_as(ids: tuple[str, ...]) -> Iterator[None]:
    token = _keys.set(ids)
    try:
        yield
    finally:
        _keys.reset(token)
