"""The place where every publish of Celery passes: what ``app.producer_or_acquire`` gives it.

``delay``, ``apply_async``, ``send_task``, canvas, retries and beat all end in ``Celery.send_task``,
which takes a producer there and calls its ``publish`` (celery.app.amqp). A producer that a caller brings
along (a group, beat) is ignored: it would know neither bounds nor the second broker.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from celery import Celery
from kombu.exceptions import EncodeError

from taskfleet.dead_letters.unsent import Unsent
from taskfleet.errors import SettingsError, TaskfleetError
from taskfleet.publishing import batch, behalf, results
from taskfleet.publishing.exchanges import queue_of
from taskfleet.publishing.publisher import Publisher


class _NoConnection:
    """Celery asks the producer's connection only how to name its errors; ours are named already."""

    recoverable_connection_errors: tuple[type[BaseException], ...] = ()
    recoverable_channel_errors: tuple[type[BaseException], ...] = ()

    @contextlib.contextmanager
    def _reraise_as_library_errors(self) -> Iterator[None]:
        yield


class FleetProducer:
    """Looks like a kombu producer to Celery and publishes with the process's `Publisher`."""

    connection = _NoConnection()

    def __init__(self, app: Celery, publisher: Callable[[], Publisher]) -> None:
        self._app = app
        self._publisher = publisher

    @property
    def channel(self) -> NoReturn:
        """Only a result backend that answers over the broker asks for it."""
        raise SettingsError(
            "the result backend rpc:// answers in a queue of one broker, and tasks go to either of two: use "
            "another, redis:// for instance, or task_ignore_result=True. Nothing was published"
        )

    def publish(self, body: Any, **options: Any) -> None:
        """Publish as kombu's ``Producer.publish`` does, to the versioned queue, on either broker."""
        exchange, queue = options.pop("exchange", ""), options.pop("routing_key", None) or ""
        if exchange or not queue:
            queue = queue_of(getattr(exchange, "name", exchange), queue, self._app.amqp.queues.values())
        for unused in ("declare", "retry", "retry_policy"):  # queues exist, and the bounds are ours
            options.pop(unused, None)
        results.have_stored_for_a_chord(self._app, body, options)
        together = batch.current(self._app)
        try:
            if together is None:
                self._publisher().publish(body, queue, options)
                return
            message = self._publisher().message(body, queue, options)
        except (TaskfleetError, EncodeError) as error:
            behalf.refused(self._app, error, Unsent(body, queue, options))
            return
        together.add(message)

    def revive(self, _connection: object) -> None:
        """Celery calls it before it tries again; there is nothing to revive."""
