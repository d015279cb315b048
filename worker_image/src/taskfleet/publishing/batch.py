"""Messages that are made one by one and sent together: those of a group, and of `taskfleet.publish_many`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from time import monotonic

from celery import Celery

from taskfleet.dead_letters.unsent import Unsent
from taskfleet.errors import PartlyPublished, TaskfleetError
from taskfleet.publishing import behalf
from taskfleet.publishing.outgoing import Outgoing
from taskfleet.publishing.primary import MOST_BYTES, MOST_MESSAGES

# What was made first is not kept for longer, however slowly the others come.
MOST_SECONDS = 1.0


class Batch:
    """Of one application. What could not be sent is kept, and nothing is sent any more until `again`."""

    def __init__(
        self,
        app: Celery,
        progress: Callable[[int], None] | None = None,
        go_on: Callable[[], int] | None = None,
    ) -> None:
        self.app, self._progress, self._go_on = app, progress, go_on or self._finish_again
        self.accepted = 0
        self._waiting: list[Outgoing] = []
        self._bytes, self._since = 0, 0.0
        self._latest: list[Outgoing] = []  # of the last that were sent together: those that were accepted
        self._failed: list[Outgoing] = []

    @property
    def failed(self) -> bool:
        """Whether something was not accepted."""
        return bool(self._failed)

    @property
    def latest(self) -> Outgoing | None:
        """The newest of those that are kept."""
        return self._waiting[-1] if self._waiting else None

    def add(self, message: Outgoing) -> None:
        """Keep it until it is sent."""
        if not self._waiting:
            self._bytes, self._since = 0, monotonic()
        self._waiting.append(message)
        self._bytes += message.size

    def send_if_full(self) -> None:
        """Send what is kept if it is enough for a round trip, or old."""
        many = len(self._waiting) >= MOST_MESSAGES or self._bytes >= MOST_BYTES
        if many or (self._waiting and monotonic() - self._since >= MOST_SECONDS):
            self._send()

    def finish(self) -> None:
        """Send what is kept. Raises `PartlyPublished` if anything was not accepted, now or before."""
        if self._waiting:
            self._send()
        if self._failed:
            raise self._error()

    def again(self) -> None:
        """Have what was not accepted sent again, under the same ids, before all others."""
        self._waiting, self._failed = [*self._failed, *self._waiting], []
        for message in self._waiting:
            message.error = None

    def take(self, most: int | None = None) -> list[Outgoing]:
        """What is kept, to be sent by whoever takes it; `settle` it then."""
        taken, self._waiting = self._waiting[:most], [] if most is None else self._waiting[most:]
        return taken

    def drop(self) -> None:
        """Forget what is kept."""
        self._waiting = []

    def settle(self, sent: Sequence[Outgoing]) -> None:
        """See what became of messages that were sent."""
        self._failed = [message for message in sent if not self._is_settled(message)]
        self._latest = [message for message in sent if message.error is None]
        self.accepted += len(sent) - len(self._failed)

    def _send(self) -> None:
        if self._failed:
            return
        while self._waiting and not self._failed:
            sent = self.take(MOST_MESSAGES)
            self.app.taskfleet.publisher.send(sent)
            self.settle(sent)
        if self._progress is not None:
            self._progress(self.accepted)

    def _is_settled(self, message: Outgoing) -> bool:
        """Accepted by a broker, or kept in another way."""
        if message.error is None:
            return True
        try:
            behalf.refused(self.app, message.error, Unsent(message.body, message.asked, message.options))
        except TaskfleetError:
            return False
        return True

    def _error(self) -> PartlyPublished:
        return PartlyPublished(
            published=self.accepted,
            accepted=[message.id for message in self._latest],
            refused=[message.id for message in (*self._failed, *self._waiting) if not message.may_run],
            unknown=[message.id for message in self._failed if message.may_run],
            why=str(self._failed[0].error),
            go_on=self._go_on,
        )

    def _finish_again(self) -> int:
        self.again()
        self.finish()
        return self.accepted


_current: ContextVar[Batch | None] = ContextVar("taskfleet_batch", default=None)


def current(app: Celery) -> Batch | None:
    """The batch that what ``app`` publishes here becomes part of."""
    batch = _current.get()
    return batch if batch is not None and batch.app is app else None


@contextlib.contextmanager
def collecting(batch: Batch | None) -> Iterator[None]:
    """What the batch's application publishes in the block becomes part of it; with None, of none."""
    token = _current.set(batch)
    try:
        yield
    finally:
        _current.reset(token)
