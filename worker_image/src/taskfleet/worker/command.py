"""The command line of a worker, and of beat: what ``python -m taskfleet`` replaces itself with."""

from __future__ import annotations

import sys

from taskfleet.settings import ProducerSettings, WorkerSettings


def worker_argv(settings: WorkerSettings) -> list[str]:
    """``celery worker`` for one pool. Executed, not called: gevent must patch before anything is imported."""
    return [
        *_celery("taskfleet.worker.main:app"),
        "worker",
        f"--hostname={settings.pool}.{settings.release}.{settings.broker}@%h",
        f"--queues={','.join(settings.versioned_queues)}",
        f"--pool={settings.execution}",
        f"--concurrency={settings.concurrency}",
        f"--loglevel={settings.log_level}",
        # A heartbeat to a hung broker retries without end and keeps SIGTERM waiting (FACTS, 1: Reconnect).
        "--without-heartbeat",
        # Workers have nothing to tell each other; asking all of them slows every start.
        "--without-gossip",
        "--without-mingle",
        # In one: of several, Celery's command line takes the last.
        *([f"--include={','.join(settings.include)}"] if settings.include else []),
    ]


def beat_argv(settings: ProducerSettings) -> list[str]:
    """``celery beat``."""
    return [*_celery("taskfleet.beat.main:app"), "beat", f"--loglevel={settings.log_level}", "--pidfile="]


def _celery(app: str) -> list[str]:
    return [sys.executable, "-m", "celery", "--quiet", "--app", app]
