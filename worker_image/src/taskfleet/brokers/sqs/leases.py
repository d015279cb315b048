"""What a living worker tells SQS about the messages that it holds.

A message stays hidden for `lease_seconds` after it was received; this thread extends that while the
worker lives, so a long task is not run twice and a dead worker's messages are back soon. Where a task can
keep the thread from it, a process beside the worker does it then (`taskfleet.brokers.watching`). Deletes go
through the thread too: in batches, beside the event loop, and again until SQS took them.

SQS hides no message for more than twelve hours: what is held for longer is given to another worker.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from taskfleet.brokers.sqs.remembering import MEMORY
from taskfleet.brokers.sqs.renewal import Held, Renewal
from taskfleet.brokers.sqs.renewing import BATCH, hidden_for

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 1.0
# Sooner than the next round: two rounds that fail are most of a lease.
EXTEND_AGAIN_SECONDS = 2.0
# While SQS is mute each batch costs its time limit, and giving many back would keep a worker from its end.
GIVE_BACK_SECONDS = 2.0
_ERRORS = (BotoCoreError, ClientError, OSError)


@dataclass(frozen=True)
class Message:
    """A message that is held; ``at`` is when it was received, in seconds since the epoch."""

    url: str
    receipt: str
    at: float
    id: str


class Leases:
    """The messages that this process holds, by their delivery tags."""

    def __init__(
        self, make_client: Callable[[], Any], *, lease_seconds: int, renewal: Renewal | None = None
    ) -> None:
        self._make_client = make_client
        self._lease_seconds = lease_seconds
        self._renewal = renewal  # for a process that tasks can keep from extending
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._held: dict[str, Message] = {}
        self._tags: dict[str, str] = {}  # by the messages' ids
        self._done: dict[str, Message] = {}  # by their receipts
        self._over: set[str] = set()  # receipts of which SQS's longest time has passed
        self._closing = False
        self._thread: threading.Thread | None = None

    def hold(self, tag: str, queue_url: str, message_id: str = "") -> None:
        """Extend this message's visibility until it is deleted or released. A tag is a receipt at first."""
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="taskfleet-sqs-leases", daemon=True)
                thread.start()  # first: what holds a message without it would let it lapse
                self._thread = thread
            held = self._held[tag] = Message(queue_url, tag, time.time(), message_id)
            self._tags[message_id] = tag
            self._tell_renewal(held=[held])

    def is_known(self, message_id: str, receipt: str, queue_url: str) -> bool:
        """Whether a message that was received must not run: it has ended here, or it still runs.

        Its lease had ended meanwhile. The new receipt is what it is deleted by.
        """
        with self._lock:
            again = Message(queue_url, receipt, time.time(), message_id)
            tag = self._tags.get(message_id)
            if tag is not None:
                before, self._held[tag] = self._held[tag], again
                self._tell_renewal(held=[again], dropped=[before])
                return True
            if not MEMORY.has_ended(message_id):
                return False
            self._done[receipt] = again
        self._wake.set()
        return True

    def delete(self, tag: str) -> None:
        """The message is done. It is deleted in a moment, and kept hidden until that worked."""
        with self._lock:
            message = self._let_go(tag)
            if message is None:
                MEMORY.ended_late(tag)
                return
            MEMORY.ended(message.id)
            self._done[message.receipt] = message
        self._wake.set()

    def release(self, tags: Iterable[str], *, after_seconds: int = 0) -> None:
        """Give messages back, visible after ``after_seconds``. What SQS did not take lapses.

        It ends with the first failure after `GIVE_BACK_SECONDS`.
        """
        with self._lock:
            found = [(tag, self._let_go(tag)) for tag in tags]
            messages = [message for _, message in found if message is not None]
            self._tell_renewal(dropped=messages)
        for tag, message in found:
            if message is not None:
                MEMORY.given_back(tag, message.id)
        if not messages:
            return
        end = time.monotonic() + GIVE_BACK_SECONDS
        for taken in self._tell(self._releasing, messages, _hiding(lambda _message: after_seconds)):
            if not taken and time.monotonic() > end:
                return

    def _let_go(self, tag: str) -> Message | None:
        message = self._held.pop(tag, None)
        if message is not None:
            self._tags.pop(message.id, None)
            self._over.discard(message.receipt)
        return message

    def _tell_renewal(self, *, held: Sequence[Message] = (), dropped: Sequence[Message] = ()) -> None:
        if self._renewal is not None and (held or dropped):
            self._renewal.changed(
                self._everything, held=_told(held), dropped=[message.receipt for message in dropped]
            )

    def _everything(self) -> Held:
        return _told([*self._held.values(), *self._done.values()])

    @cached_property
    def _releasing(self) -> Any:
        # Making one takes 0.1 s of the main loop, and a drain may give back a thousand messages.
        return self._make_client()

    def close(self, *, seconds: float = 5) -> None:
        """Delete what is done within ``seconds``, give the rest back, end the thread and the process."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(seconds)
        self.release(list(self._held))
        if self._renewal is not None:
            self._renewal.end()

    def _run(self) -> None:
        pause = self._lease_seconds / 3
        client, extend_at = None, time.monotonic() + pause
        while True:
            self._wake.wait(min(pause, max(0.05, extend_at - time.monotonic())))
            self._wake.clear()
            try:
                client = client or self._make_client()
                told = self._delete_done(client)
                if not self._closing and time.monotonic() >= extend_at:
                    began = time.monotonic()
                    extended = self._extend(client)
                    extend_at = began + (pause if extended else min(pause, EXTEND_AGAIN_SECONDS))
            except Exception:
                # Whatever it is: a thread that ends lets every lease lapse.
                logger.exception("Cannot extend visibility timeouts in SQS; trying again")
                told = False
            if self._closing:
                return
            if not told:
                time.sleep(AGAIN_SECONDS)
                self._wake.set()

    def _extend(self, client: Any) -> bool:
        with self._lock:
            everything = [*self._held.values(), *self._done.values()]
        now = time.time()
        may_be = [message for message in everything if self._may_be_hidden(message, now)]
        hide = _hiding(lambda message: hidden_for(self._lease_seconds, received_at=message.at, now=now))
        extended = all(list(self._tell(client, may_be, hide)))
        if extended and self._renewal is not None:
            self._renewal.extended(self._everything)
        return extended

    def _may_be_hidden(self, message: Message, now: float) -> bool:
        if hidden_for(self._lease_seconds, received_at=message.at, now=now):
            return True
        if message.receipt not in self._over:
            self._over.add(message.receipt)
            logger.warning(
                "message %s was received twelve hours ago, and SQS hides it no longer: others get it, too",
                message.id,
            )
        return False

    def _delete_done(self, client: Any) -> bool:
        with self._lock:
            done = list(self._done.values())
        return all(list(self._tell(client, done, self._delete_batch)))

    def _delete_batch(self, client: Any, url: str, messages: Sequence[Message]) -> bool:
        entries = [{"Id": str(n), "ReceiptHandle": message.receipt} for n, message in enumerate(messages)]
        again = _to_be_told_again(client.delete_message_batch(QueueUrl=url, Entries=entries))
        done = [message for n, message in enumerate(messages) if n not in again]
        with self._lock:
            for message in done:
                self._done.pop(message.receipt, None)
            self._tell_renewal(dropped=done)
        return not again

    def _tell(
        self, client: Any, messages: Sequence[Message], call: Callable[[Any, str, Sequence[Message]], bool]
    ) -> Iterator[bool]:
        """Whether SQS took each batch; a failure of one, or of one queue, says nothing about the next."""
        for url in {message.url for message in messages}:
            for batch in _batches([message for message in messages if message.url == url]):
                try:
                    yield call(client, url, batch)
                except _ERRORS as error:
                    logger.warning("SQS did not take a call for %d held messages: %s", len(batch), error)
                    yield False


def _hiding(seconds: Callable[[Message], int]) -> Callable[[Any, str, Sequence[Message]], bool]:
    """The call that hides messages for so long; whether SQS took it."""

    def hide(client: Any, url: str, messages: Sequence[Message]) -> bool:
        entries = [
            {"Id": str(n), "ReceiptHandle": message.receipt, "VisibilityTimeout": seconds(message)}
            for n, message in enumerate(messages)
        ]
        return not _to_be_told_again(client.change_message_visibility_batch(QueueUrl=url, Entries=entries))

    return hide


def _told(messages: Iterable[Message]) -> Held:
    return {message.receipt: (message.url, message.at) for message in messages}


def _to_be_told_again(reply: Mapping[str, Any]) -> set[int]:
    """The entries that failed, but for a sender's fault (a handle that has expired): it won't be better."""
    return {int(entry["Id"]) for entry in reply.get("Failed", ()) if not entry.get("SenderFault")}


def _batches(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    remaining = iter(messages)
    while batch := list(islice(remaining, BATCH)):
        yield batch
