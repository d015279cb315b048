"""What SIGTERM does to a worker: give back what has not begun, let what runs finish, then go.

Celery's own ways each miss something (FACTS, 1: Reconnect, stop): a warm shutdown waits without bound and
gives messages back only at its end; a soft shutdown sleeps its whole time in the signal handler, so even a
task that finished meanwhile is given to somebody else. Here the main loop goes on while it drains:

1. stop fetching; give ETA tasks that wait in memory back to the broker at once;
2. go on until nothing runs any more, `TASKFLEET_SOFT_SHUTDOWN_SECONDS` at most, and SQS has answered: what it
   gives to a worker that has ended is hidden from all others for a lease;
3. stop what still runs and give it back, too. Threads can't be stopped: they end with the process.

SIGHUP does the same, and starts the worker anew in the same process, as Celery's does.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import time
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

from celery import platforms, signals
from celery.apps.worker import on_cold_shutdown
from celery.concurrency import thread
from celery.worker import state

from taskfleet.logs import logger

EX_OK = 0


@dataclass
class _Drain:
    pid: int | None = None
    asked_at: float | None = None
    seconds: float = 0.0
    in_threads: bool = False
    starts_anew: bool = False
    begun: bool = False
    ended: bool = False

    def late(self) -> bool:
        return self.asked_at is not None and time.monotonic() - self.asked_at >= self.seconds


_drain = _Drain()


def catch_signals(consumer: Any) -> None:
    """Take SIGTERM and SIGHUP over from Celery, in the worker's main process."""
    _drain.pid = os.getpid()
    _drain.seconds = consumer.app.taskfleet.settings.soft_shutdown_seconds
    _drain.in_threads = isinstance(consumer.pool, thread.TaskPool)
    platforms.signals["SIGTERM"] = _on_sigterm
    # At a terminal Celery leaves it alone: whoever closes the terminal ends the worker.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL:
        platforms.signals["SIGHUP"] = _on_sighup


def _on_sigterm(_number: int, _frame: FrameType | None) -> None:
    # Only a note: the loop acts on it, where it is safe to.
    if os.getpid() == _drain.pid and _drain.asked_at is None:
        _drain.asked_at = time.monotonic()


def _on_sighup(number: int, frame: FrameType | None) -> None:
    if os.getpid() == _drain.pid and _drain.asked_at is None:
        _drain.starts_anew = True
        atexit.register(_start_anew)
        _on_sigterm(number, frame)


def _start_anew() -> NoReturn:
    """Become what this process was started as.

    Celery's own handler runs `sys.argv`, which `python -m celery` makes a file in a package: an ImportError.
    """
    platforms.close_open_fds([sys.__stdin__, sys.__stdout__, sys.__stderr__])
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - as it was started


def asked() -> bool:
    """Whether this worker was told to stop."""
    return _drain.asked_at is not None


def step(consumer: Any) -> None:
    """One step of draining, from the main loop."""
    if not asked() or _drain.ended:
        return
    if not _drain.begun:
        _begin(consumer)
        logger.info("asked to stop: fetching ends, running tasks get %g s", _drain.seconds)
        consumer.task_consumer.cancel()
        _give_back_scheduled(consumer)
    if not state.reserved_requests and (_drain.late() or not _asks_sqs(consumer)):
        _drain.ended = True
        logger.info("nothing runs any more: leaving")
        state.should_stop = EX_OK
    elif state.reserved_requests and _drain.late():
        _drain.ended = True
        logger.warning("stopping %d running tasks; they are given back", len(state.active_requests))
        consumer.alone.given_back()
        if _drain.in_threads:
            _leave_threads(consumer)
        else:
            on_cold_shutdown(consumer.controller)


def _asks_sqs(consumer: Any) -> bool:
    """Whether a long poll is under way; at most for ten seconds more."""
    return bool(getattr(consumer.task_consumer.channel, "open_polls", ()))


def _begin(consumer: Any) -> None:
    _drain.begun = True
    signals.worker_shutting_down.send(sender=consumer.hostname, sig="SIGTERM", how="Warm", exitcode=EX_OK)


def step_while_disconnected(consumer: Any) -> None:
    """The broker is away: nothing can be acknowledged or given back, and it will give back all by itself."""
    if asked() and not _drain.begun:
        _begin(consumer)
    if asked() and (_drain.late() or not state.reserved_requests):
        if _drain.in_threads and state.reserved_requests:
            _exit(consumer)
        state.should_terminate = EX_OK


def _leave_threads(consumer: Any) -> None:
    """Return the messages, then end the process: Celery's own end waits for each thread, Python's too."""
    state.should_terminate = EX_OK  # else the broker's channel keeps what runs
    try:
        consumer.shutdown()
    finally:
        _exit(consumer)


def _exit(consumer: Any) -> NoReturn:
    try:
        signals.worker_shutdown.send(sender=consumer.controller)
    finally:
        if _drain.starts_anew:
            _start_anew()
        os._exit(EX_OK)


def _give_back_scheduled(consumer: Any) -> None:
    for request in tuple(state.scheduled_requests):
        if request._eta_timer_entry is not None:
            consumer.timer.cancel(request._eta_timer_entry)
        state.scheduled_requests.discard(request)
        state.requests.pop(request.id, None)
        request.message.reject_log_error(logger, consumer.connection_errors, requeue=True)
