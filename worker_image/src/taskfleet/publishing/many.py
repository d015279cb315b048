"""`publish_many`: as many tasks as there are, with few round trips and in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from celery.canvas import Signature

from taskfleet.publishing.batch import Batch, collecting
from taskfleet.publishing.repeated import Repeated


def publish_many(signatures: Iterable[Signature], *, progress: Callable[[int], None] | None = None) -> int:
    """Publish them in their order and return how many tasks were published.

    ``signatures`` are what ``task.s(…)`` makes, chains, groups and chords too, of one application; a
    generator is read as it goes. Up to 500 messages, or about 1 MiB, make one round trip to Redis, and ten
    one call of SQS's; what was read first waits for the others for a second at most, while they come.
    ``progress`` is called after each round trip with the number of tasks that were published so far.

    Raises `taskfleet.errors.PartlyPublished` as soon as something is not accepted: nothing more is read or
    sent then, and its ``go_on()`` does that. What is the caller's mistake (`taskfleet.errors.InvalidTask`,
    `taskfleet.errors.UnknownQueue`, …), or what the iterable itself raises, ends it at once: what
    ``progress`` was told is published, the rest is not.
    """
    each = iter(signatures)
    first = next(each, None)
    return 0 if first is None else _Run(first, each, progress).go()


class _Run:
    def __init__(
        self, first: Signature, rest: Iterator[Signature], progress: Callable[[int], None] | None
    ) -> None:
        self._signatures = chain((first,), rest)
        self._batch = Batch(first.app, progress, go_on=self.go)
        self._repeated = Repeated(first.app)

    def go(self) -> int:
        """To the end, or to the first that is not accepted. What is left of an earlier call comes first."""
        batch = self._batch
        batch.again()
        batch.send_if_full()
        while not batch.failed and (signature := next(self._signatures, None)) is not None:
            with collecting(batch):
                if not self._repeated.publish(signature):
                    self._publish(signature)
            batch.send_if_full()
        batch.finish()
        return batch.accepted

    def _publish(self, signature: Signature) -> None:
        if type(signature) is not Signature:
            signature.apply_async()
            return
        # A task that publishes thousands does not remember each as its child.
        signature.apply_async(add_to_parent=False)
        if self._batch.latest is not None:
            self._repeated.note(signature, self._batch.latest)
