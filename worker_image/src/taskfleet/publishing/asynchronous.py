"""Publishing from an event loop: threads make and send what coroutines ask for; it waits for no broker.

One thread at a time makes messages, of all that was asked for meanwhile; they are sent together, while the
next thread makes those that came since. Each coroutine gets its own answer, and its own error.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from celery import Celery
from celery._state import pop_current_task, push_current_task

from taskfleet.publishing.batch import Batch, collecting
from taskfleet.publishing.outgoing import Outgoing
from taskfleet.publishing.primary import MOST_MESSAGES

# One that sends may wait for a broker that is silent; what came since does not wait behind it.
THREADS = 4
# Calls that no thread has taken; more wait in their coroutines, where they cost a look now and then.
MOST_WAITING = 2000
LOOK_AGAIN_SECONDS = 0.01


class _Call:
    """What one coroutine wants to be published, with all that its code would see if it did so itself."""

    def __init__(self, app: Celery, publish: Callable[[], Any]) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self._publish, self._context = publish, contextvars.copy_context()
        self._task = app.current_worker_task
        self._request = None if self._task is None else self._task.request_stack.top
        self._batch = Batch(app)
        self._result: Any = None
        self._error: BaseException | None = None

    def make(self) -> None:
        """Make its messages, in a thread: they are kept in its batch."""
        try:
            self._result = self._context.run(self._make)
        except BaseException as error:  # noqa: BLE001 - whoever awaits it gets it
            self._batch.drop()
            self._error = error

    def _make(self) -> Any:
        with _within(self._task, self._request), collecting(self._batch):
            return self._publish()

    def take(self) -> list[Outgoing]:
        """Its messages, to be sent."""
        return self._batch.take()

    def sent(self, messages: Sequence[Outgoing]) -> None:
        """They were sent: see what became of each."""
        if self._error is None:
            try:
                self._context.run(self._settle, messages)
            except BaseException as error:  # noqa: BLE001 - as above
                self._error = error

    def _settle(self, messages: Sequence[Outgoing]) -> None:
        self._batch.settle(messages)
        if len(messages) == 1 and self._batch.failed and messages[0].error is not None:
            raise messages[0].error
        self._batch.finish()

    def failed(self, error: BaseException) -> None:
        """What ended the thread that sends it."""
        self._error = self._error or error

    def answer(self) -> None:
        """Wake the coroutine; from its loop."""
        if self.future.done():  # it was cancelled
            return
        if self._error is None:
            self.future.set_result(self._result)
        else:
            self.future.set_exception(self._error)


class AsyncPublisher:
    """Of one application, in one process."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._came = threading.Condition(self._lock)
        self._making = threading.Lock()
        self._waiting: deque[_Call] = deque()
        self._threads = self._sending = 0

    async def publish(self, publish: Callable[[], Any]) -> Any:
        """Call ``publish`` in a thread, with what Celery has it publish sent, and return what it returned.

        Raises what it raised, or why it was not accepted. Cancelled before a thread has begun, it publishes
        nothing; later it is published all the same.
        """
        while len(self._waiting) >= MOST_WAITING:
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        call = _Call(self._app, publish)
        self._add(call)
        return await call.future

    def _add(self, call: _Call) -> None:
        with self._lock:
            if self._sending == self._threads < THREADS:
                self._start_thread()
            self._waiting.append(call)
            self._came.notify()

    def _start_thread(self) -> None:
        """Under the lock. Where no more can be started, those that run do all; raises if none runs."""
        try:
            threading.Thread(target=self._run, name="taskfleet-async", daemon=True).start()
        except RuntimeError:
            if not self._threads:
                raise
        else:
            self._threads += 1

    def _run(self) -> None:
        while True:
            with self._making:
                calls = self._take()
                for call in calls:
                    call.make()
            with self._lock:
                self._sending += 1
            try:
                self._send(calls)
            finally:
                with self._lock:
                    self._sending -= 1

    def _take(self) -> list[_Call]:
        with self._lock:
            while not self._waiting:
                self._came.wait()
            taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_MESSAGES))]
        return [call for call in taken if not call.future.cancelled()]

    def _send(self, calls: Sequence[_Call]) -> None:
        """Those first that wait for no replica: a round trip with one that does takes longer."""
        parts = [(call, call.take()) for call in calls]
        for waits in (False, True):
            part = [(call, messages) for call, messages in parts if _is_confirmed(messages) is waits]
            if not part:
                continue
            try:
                if together := [each for _, messages in part for each in messages]:
                    self._app.taskfleet.publisher.send(together)
                for call, messages in part:
                    call.sent(messages)
            except BaseException as error:  # noqa: BLE001 - nobody may wait for ever
                for call, _ in part:
                    call.failed(error)
            finally:
                _answer(call for call, _ in part)


def _is_confirmed(messages: Iterable[Outgoing]) -> bool:
    return any(message.address.confirmed for message in messages)


def _answer(calls: Iterable[_Call]) -> None:
    for loop, answered in groupby(calls, key=lambda call: call.loop):
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(_wake, list(answered))


def _wake(calls: Iterable[_Call]) -> None:
    for call in calls:
        call.answer()


@contextlib.contextmanager
def _within(task: Any, request: Any) -> Iterator[None]:
    """In this thread, too, the task is the one that runs: what it publishes is its child."""
    if task is None:
        yield
        return
    push_current_task(task)
    task.request_stack.push(request)
    try:
        yield
    finally:
        task.request_stack.pop()
        pop_current_task()
