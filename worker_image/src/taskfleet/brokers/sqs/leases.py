"""What a living worker tells SQS about the messages that it holds.

A message stays hidden for `lease_seconds` after it was received; this thread extends that while the
worker lives, so a long task is not run twice and a dead worker's messages are back soon. Deletes go
through it too: in batches, beside the event loop, and again until SQS took them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

logger = logging.getLogger(__name__)

BATCH = 10  # SQS: entries in one batch request
AGAIN_SECONDS = 1.0
# Sooner than the next round: two rounds that fail are most of a lease.
EXTEND_AGAIN_SECONDS = 2.0
# While SQS is mute each batch costs its time limit, and giving many back would keep a worker from its end.
GIVE_BACK_SECONDS = 2.0
_ERRORS = (BotoCoreError, ClientError, OSError)


class Leases:
    """The messages that this process holds: receipt handle → queue URL."""

    def __init__(self, make_client: Callable[[], Any], *, lease_seconds: int) -> None:
        self._make_client = make_client
        self._lease_seconds = lease_seconds
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._held: dict[str, str] = {}
        self._done: dict[str, str] = {}
        self._closing = False
        self._thread: threading.Thread | None = None

    def hold(self, receipt: str, queue_url: str) -> None:
        """Extend this message's visibility until it is deleted or released."""
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="taskfleet-sqs-leases", daemon=True)
                thread.start()  # first: what holds a message without it would let it lapse
                self._thread = thread
            self._held[receipt] = queue_url

    def delete(self, receipt: str) -> None:
        """The message is done. It is deleted in a moment, and kept hidden until that worked."""
        with self._lock:
            url = self._held.pop(receipt, None)
            if url is not None:
                self._done[receipt] = url
        self._wake.set()

    def release(self, receipts: Iterable[str], *, after_seconds: int = 0) -> None:
        """Give messages back, visible after ``after_seconds``. What SQS did not take lapses.

        It ends with the first failure after `GIVE_BACK_SECONDS`.
        """
        with self._lock:
            entries = [(receipt, self._held.pop(receipt)) for receipt in receipts if receipt in self._held]
        if not entries:
            return
        end = time.monotonic() + GIVE_BACK_SECONDS
        for taken in self._tell(self._releasing, entries, self._set_visibility(after_seconds)):
            if not taken and time.monotonic() > end:
                return

    @cached_property
    def _releasing(self) -> Any:
        # Making one takes 0.1 s of the main loop, and a drain may give back a thousand messages.
        return self._make_client()

    def close(self, *, seconds: float = 5) -> None:
        """Delete what is done within ``seconds``, give the rest back, end the thread."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(seconds)
        self.release(list(self._held))

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
                logger.exception("SQS could not be told what this worker holds, trying on")
                told = False
            if self._closing:
                return
            if not told:
                time.sleep(AGAIN_SECONDS)
                self._wake.set()

    def _extend(self, client: Any) -> bool:
        with self._lock:
            everything = [*self._held.items(), *self._done.items()]
        return all(list(self._tell(client, everything, self._set_visibility(self._lease_seconds))))

    def _delete_done(self, client: Any) -> bool:
        with self._lock:
            done = list(self._done.items())
        return all(list(self._tell(client, done, self._delete_batch)))

    def _delete_batch(self, client: Any, url: str, receipts: Sequence[str]) -> bool:
        entries = [{"Id": str(n), "ReceiptHandle": receipt} for n, receipt in enumerate(receipts)]
        again = _to_be_told_again(client.delete_message_batch(QueueUrl=url, Entries=entries))
        with self._lock:
            for n, receipt in enumerate(receipts):
                if n not in again:
                    self._done.pop(receipt, None)
        return not again

    def _set_visibility(self, seconds: int) -> Callable[[Any, str, Sequence[str]], bool]:
        def change(client: Any, url: str, receipts: Sequence[str]) -> bool:
            entries = [
                {"Id": str(n), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
                for n, receipt in enumerate(receipts)
            ]
            reply = client.change_message_visibility_batch(QueueUrl=url, Entries=entries)
            return not _to_be_told_again(reply)

        return change

    def _tell(
        self,
        client: Any,
        entries: Sequence[tuple[str, str]],
        call: Callable[[Any, str, Sequence[str]], bool],
    ) -> Iterator[bool]:
        """Whether SQS took each batch; a failure of one, or of one queue, says nothing about the next."""
        for url in {url for _, url in entries}:
            receipts = [receipt for receipt, its_url in entries if its_url == url]
            for batch in _batches(receipts):
                try:
                    yield call(client, url, batch)
                except _ERRORS as error:
                    logger.warning("SQS did not take a call for %d held messages: %s", len(batch), error)
                    yield False


def _to_be_told_again(reply: Mapping[str, Any]) -> set[int]:
    """The entries that failed, but for a sender's fault (a handle that has expired): it won't be better."""
    return {int(entry["Id"]) for entry in reply.get("Failed", ()) if not entry.get("SenderFault")}


def _batches(receipts: Sequence[str]) -> Iterator[Sequence[str]]:
    remaining = iter(receipts)
    while batch := list(islice(remaining, BATCH)):
        yield batch
