"""Celery's configuration, each setting with its reason.

`defaults`, `worker_defaults` and `beat_defaults` lie below everything that the application says
(`taskfleet.layers`), so that its own value wins, wherever it comes from. Which values it may not have is in
`taskfleet.enforced`; `connection` is what a worker uses instead of the application's own broker.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from taskfleet.brokers import FALLBACK_TRANSPORT, PRIMARY_TRANSPORT, connections
from taskfleet.contract.environment import PRIMARY
from taskfleet.settings import WorkerSettings

DAY_SECONDS = 24 * 3600


def defaults() -> dict[str, Any]:
    """In every process that publishes or works."""
    return {
        # JSON only: a pickle in a queue is code that somebody else chose.
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        # The message is given back if its worker dies; with an early acknowledgement it is lost.
        "task_acks_late": True,
        # acks_late alone still loses the task of a child that was killed (FACTS, 1: In flight) …
        "task_reject_on_worker_lost": True,
        # … and with this the loss counts as a retry while there are any. In the last one the message is given
        # back, and is poison after `limits.MOST_DELIVERIES`.
        "task_retry_on_worker_lost": True,
        # An event per publish is a second message, and goes to an exchange, which neither broker has.
        "task_send_sent_event": False,
        # Where there is a result backend, it gives up after seconds, not never.
        "result_backend_transport_options": {
            "retry_policy": {"timeout": 2.0, "max_retries": 2, "interval_start": 0, "interval_step": 0.2}
        },
        "redis_socket_timeout": 3.0,
        "redis_socket_connect_timeout": 2.0,
        "result_expires": DAY_SECONDS,
    }


def worker_defaults(settings: WorkerSettings) -> dict[str, Any]:
    """In a worker, on top of `defaults`."""
    return {
        # One message per slot: what a busy worker holds, an idle one can't take. With late acknowledgement
        # a running task counts, so nothing waits in a busy worker (`worker_disable_prefetch` adds nothing).
        "worker_prefetch_multiplier": 1,
        # KiB, peak. Checked after each task: the child finishes, then it is replaced.
        "worker_max_memory_per_child": settings.child_memory_mib * 1024,
        "worker_max_tasks_per_child": settings.max_tasks_per_child,
        # Until a child that has not begun to work is killed. Celery's 4 s are less than it takes to import a
        # large application anew or to open a pool of connections: none would ever work.
        "worker_proc_alive_timeout": 60.0,
        "task_soft_time_limit": settings.soft_time_limit_seconds,
        "task_time_limit": settings.time_limit_seconds,
        # After a lost connection SQS's messages go to somebody else: stop our copies. On Redis a session
        # keeps what runs and acknowledges it later (`taskfleet.brokers.redis.session`).
        "worker_cancel_long_running_tasks_on_connection_loss": settings.broker != PRIMARY,
        "worker_consumer": "taskfleet.worker.consumer:Consumer",
        # Logs are JSON (`taskfleet.logs`); prints stay prints.
        "worker_redirect_stdouts": False,
        # Events go to nobody: the controller measures at the brokers.
        "worker_send_task_events": False,
    }


def beat_defaults() -> dict[str, Any]:
    """In beat, on top of `defaults`."""
    return {
        "beat_scheduler": "taskfleet.beat.scheduler:FleetScheduler",
        # The only writable place, for a scheduler of the application's own that keeps a file. The fleet's
        # keeps its last runs in the state table.
        "beat_schedule_filename": str(Path(tempfile.gettempdir()) / "taskfleet-beat"),
        # Wake at least so often, to say that it lives.
        "beat_max_loop_interval": 10,
        "worker_redirect_stdouts": False,
    }


def connection(settings: WorkerSettings) -> dict[str, Any]:
    """How a worker reaches its broker: the fleet's, whatever the application has for plain Celery."""
    return {
        **(_primary(settings) if settings.broker == PRIMARY else _fallback(settings)),
        # Reconnect for as long as it takes: an exit would be a restart loop during every outage.
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # 0: Celery's own soft shutdown sleeps its whole time in a signal handler, so a task that ends
        # meanwhile is run again. `taskfleet.worker.draining` gives the same time and ends early.
        "worker_soft_shutdown_timeout": 0.0,
    }


def _primary(settings: WorkerSettings) -> dict[str, Any]:
    return {
        "broker_url": connections.primary_url(settings),
        "broker_transport": PRIMARY_TRANSPORT,
        "broker_use_ssl": connections.TLS,
        "broker_transport_options": {
            **connections.primary_worker_options(settings),
            # By name: `celery inspect stats` sends these options as JSON.
            "on_malformed": "taskfleet.worker.parking:park_text",
            "renewing_process": _needs_help(settings),
            **_lease(settings),
        },
        "broker_connection_timeout": connections.WORKER_TIMEOUT_SECONDS,
    }


def _fallback(settings: WorkerSettings) -> dict[str, Any]:
    return {
        "broker_url": "sqs://",
        "broker_transport": FALLBACK_TRANSPORT,
        "broker_use_ssl": False,  # the AWS SDK's own
        "broker_transport_options": {
            **connections.fallback_worker_options(settings),
            "renewing_process": _needs_help(settings),
            **_lease(settings),
        },
        # SQS has no fan-out, and kombu would try to make a queue for each worker (FACTS, 2).
        "worker_enable_remote_control": False,
    }


def _needs_help(settings: WorkerSettings) -> bool:
    """Whether a task can keep the worker itself from renewing its leases: a thread or a greenlet can."""
    return settings.execution != "prefork"


def _lease(settings: WorkerSettings) -> dict[str, int]:
    """The transports have a default of their own."""
    return {} if settings.lease_seconds is None else {"lease_seconds": settings.lease_seconds}
