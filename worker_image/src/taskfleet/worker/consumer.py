"""Celery's consumer, with a pulse for the health check, patience with brokers, and no message dropped."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from celery.worker.consumer import Consumer as StockConsumer
from celery.worker.state import maybe_shutdown
from kombu.connection import Connection
from kombu.message import Message
from kombu.utils.encoding import safe_repr

from taskfleet import health
from taskfleet.dead_letters import writing
from taskfleet.dead_letters.dead_letter import DeadLetterKind, Finding
from taskfleet.logs import logger
from taskfleet.worker import (
    announcing,
    draining,
    events,
    expiring,
    failures,
    measured,
    poison,
    revoking,
    serving,
)
from taskfleet.worker.alone import Alone
from taskfleet.worker.builds import Newer
from taskfleet.worker.parking import Parking
from taskfleet.worker.protecting import Protecting
from taskfleet.worker.reporting import Reporting
from taskfleet.worker.revoking import Revoking
from taskfleet.worker.starting import Starting
from taskfleet.worker.usefulness import Usefulness

TICK_SECONDS = 1.0
STAMP_EVERY_SECONDS = 2.0
MOST_SECONDS_BETWEEN_CONNECTS = 10


class Consumer(StockConsumer):  # type: ignore[misc]
    """Named by ``worker_consumer`` (`taskfleet.config.worker`)."""

    class Blueprint(StockConsumer.Blueprint):  # type: ignore[misc]
        """Celery's steps, and one for the heartbeats of whoever listens to events."""

        default_steps = (*StockConsumer.Blueprint.default_steps, "taskfleet.worker.events:Heartbeats")

    _ticker: Any = None
    _stamped_at = 0.0

    def __init__(self, *args: Any, task_events: bool = False, **kwargs: Any) -> None:
        self.parking = Parking(self, kwargs["app"])
        self.meter = measured.Meter(kwargs["app"].taskfleet.settings)
        self.reporting = Reporting(kwargs["app"].taskfleet.settings, self.meter.tally)
        serving.serve(kwargs["app"].taskfleet.settings, self.meter.tally)
        super().__init__(*args, task_events=events.can_send(kwargs["app"]), **kwargs)
        self.alone = Alone(self)
        events.prepare(self, asked=task_events)
        self.usefulness = Usefulness(self, Starting(self))
        self.revoking = Revoking(self)
        self.protecting = Protecting(self)
        self.newer = Newer(kwargs["app"].taskfleet.settings)

    def on_ready(self) -> None:
        """The loop is about to run: have it tick, and let SIGTERM and SIGHUP drain."""
        super().on_ready()
        draining.catch_signals(self)
        self.revoking.start()
        if self._ticker is not None:
            self._ticker.cancel()
        self._ticker = None
        if self.hub is not None:
            self._ticker = self.hub.timer.call_repeatedly(TICK_SECONDS, self.tick)
        else:
            self._tick_while_waiting()

    def tick(self) -> None:
        """Called by the main loop about once a second."""
        is_draining = draining.asked()
        self._stamp(
            "draining" if is_draining else "running",
            None if is_draining or self.protecting.quiet else self.usefulness.problem(),
        )
        _each(
            # Celery hears of a child's end an instant too early, and looks again only every 5 s.
            getattr(self.pool, "maintain_pool", lambda: None),
            self.parking.step,
            self.parking.outcomes.step,
            self.alone.step,
            self.revoking.step,
            self.protecting.step,
            self.newer.step,
            self.reporting.step,
            partial(draining.step, self),
            passing=self.connection_errors,
        )

    def _tick_while_waiting(self) -> None:
        """Without an event loop (gevent, SQS in threads) the timer has its own thread, which would tick for a
        stuck loop as well; so tick where the loop itself comes by.
        """
        connection, stock = self.connection, self.connection.drain_events

        def drain_events(*args: Any, **kwargs: Any) -> Any:
            self.tick()
            maybe_shutdown()
            return stock(*args, **kwargs)

        connection.drain_events = drain_events

    def ensure_connected(self, conn: Connection) -> Connection:
        """Connect, however long it takes, saying so to the health check every second."""

        def on_error(error: BaseException, interval: float) -> None:
            logger.error("can't reach %s: %s; trying again in %d s", conn.as_uri(), error, interval)

        conn.ensure_connection(
            on_error,
            None,
            interval_start=1,
            interval_step=1,
            interval_max=MOST_SECONDS_BETWEEN_CONNECTS,
            callback=self._while_disconnected,
        )
        self.first_connection_attempt = False
        return conn

    def _while_disconnected(self) -> None:
        self._stamp("connecting")
        draining.step_while_disconnected(self)
        maybe_shutdown()

    def _stamp(self, doing: str, problem: str | None = None) -> None:
        now = time.monotonic()
        if now - self._stamped_at >= STAMP_EVERY_SECONDS:
            self._stamped_at = now
            health.stamp(doing, problem)
            announcing.alive(self)

    def on_close(self) -> None:
        """As Celery's: messages are forgotten with the connection that they came by."""
        super().on_close()
        self.parking.forget()
        self.protecting.forget()
        self.alone.forget()
        self.newer.forget()

    def shutdown(self) -> None:
        """As Celery's; what is still to be recorded comes first."""
        self.revoking.stop()
        self.protecting.stop()
        self.parking.outcomes.close()
        self.reporting.stop()
        super().shutdown()

    def update_strategies(self) -> None:
        """As Celery's; each end is counted, and what fails for good is kept (`failures`, `measured`)."""
        for task in self.app.tasks.values():
            failures.keep(task, self.parking)
            measured.measure(task, self.meter)
        super().update_strategies()

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Message], Any]:
        """As Celery's, and what must not run is parked."""
        handle = super().create_task_handler(*args, **kwargs)
        release: str = self.app.taskfleet.settings.release

        def begin(message: Message) -> None:
            try:
                handle(message)
            except Exception as error:  # noqa: BLE001 - it would end this worker, then the next one
                logger.exception("Celery can't make a task of a message")
                why = f"Celery can't make a task of it: {safe_repr(error)}"
                self.park(message, Finding(DeadLetterKind.INVALID, why))

        def on_message(message: Message) -> None:
            self.protecting.received()
            revoking.note(message.headers)
            finding = poison.examine(message, self.app.tasks, release) or expiring.examine(
                message.headers, now=time.time()
            )
            if finding is not None and self.newer.takes(message, finding):
                return
            if finding is not None:
                self.park(message, finding)
            elif not self.alone.takes(message, partial(begin, message)):
                begin(message)

        return on_message

    def on_unknown_task(self, body: Any, message: Message, exc: BaseException) -> None:
        """A task that this release does not know: Celery would throw it away."""
        self.park(message, Finding(DeadLetterKind.UNKNOWN_TASK, f"this release has no task named {exc}"))

    def on_unknown_message(self, body: Any, message: Message) -> None:
        """A message that is no task."""
        self.park(message, Finding(DeadLetterKind.NO_TASK, "it is not a Celery task message"))

    def on_invalid_task(self, body: Any, message: Message, exc: BaseException) -> None:
        """A task message that can't be run."""
        self.park(message, Finding(DeadLetterKind.INVALID, f"it can't be run: {exc}"))

    def on_decode_error(self, message: Message, exc: BaseException) -> None:
        """A body that can't be read."""
        self.park(message, Finding(DeadLetterKind.UNREADABLE, f"its body can't be read: {exc}"))

    def park(self, message: Message, finding: Finding) -> None:
        """Put it into the dead-letter store, then acknowledge it; not before the store has it."""
        announcing.not_run(self, message, finding)
        self.parking.park(
            writing.of_message(self.app.taskfleet.settings, message, finding),
            done=partial(self._parked, message, finding),
            give_back=partial(message.reject_log_error, logger, self.connection_errors, requeue=True),
        )

    def _parked(self, message: Message, finding: Finding) -> None:
        accepted = partial(message.ack_log_error, logger, self.connection_errors)
        self.parking.outcomes.failed(message, finding, accepted)


def _each(*steps: Callable[[], object], passing: tuple[type[BaseException], ...]) -> None:
    """One that fails, always perhaps, must neither keep the others from their turn nor end the worker."""
    for step in steps:
        try:
            step()
        except passing:
            raise  # the consumer connects anew
        except Exception:  # noqa: BLE001 - whatever it is
            logger.exception("a part of the worker's main loop failed; the others go on")
