"""Why a feature is not on the fleet what it is in stock Celery, and what to use instead.

Each stands for what the comparison found; one without a difference makes it fail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from taskfleet import control, enforced

from tests.compat.feature import BROKERS, POOLS, Cell


@dataclass(frozen=True)
class Difference:
    """``kind`` is `different` (on purpose) or `not available`; it holds in these brokers and pools."""

    kind: str
    why: str
    instead: str = ""
    brokers: tuple[str, ...] = BROKERS
    pools: tuple[str, ...] = POOLS

    def holds_in(self, cell: Cell) -> bool:
        """Whether it is about that cell."""
        return cell.broker in self.brokers and cell.pool in self.pools


def different(why: str, instead: str = "", **where: Any) -> Difference:
    """It works, otherwise, on purpose."""
    return Difference("different", why, instead, **where)


def absent(why: str, instead: str, **where: Any) -> Difference:
    """It is not there."""
    return Difference("not available", why, instead, **where)


# What several have in common.
_OPTIONS = "a worker's command line is the image's"
_BEAT_OPTIONS = "beat's command line is the image's"
_JSON = "only JSON is accepted: a pickle is code that whoever can write to a queue chooses"
_EXPIRES = "a task without an end of usefulness gets one: a week after its time, and then a dead letter"
_VERSIONED = "queues are versioned: the name has its release behind it (`low.r1`)"
_ENFORCED = {each.setting: each for each in enforced.TABLE}


def _options(**instead: str) -> dict[str, tuple[Difference, ...]]:
    return {f"workers.{key}": (absent(_OPTIONS, what),) for key, what in instead.items()}


def _settings(*prefixed: tuple[str, str]) -> dict[str, tuple[Difference, ...]]:
    """Refused settings, with the reason that their error gives."""
    return {
        f"configuration.{prefix}_{setting}": (absent(_ENFORCED[setting].why, _ENFORCED[setting].fix),)
        for prefix, setting in prefixed
    }


def _no_effect(*settings: str) -> dict[str, tuple[Difference, ...]]:
    return {
        f"configuration.overruled_{setting}": (absent("it has no effect", enforced.NO_EFFECT[setting]),)
        for setting in settings
    }


def _defaults(**reasons: str) -> dict[str, tuple[Difference, ...]]:
    return {f"configuration.default_{setting}": (different(why),) for setting, why in reasons.items()}


def _no_control(**commands: str) -> dict[str, tuple[Difference, ...]]:
    return {
        f"workers.{key}": (absent("it raises `ControlError`", control.INSTEAD[command]),)
        for key, command in commands.items()
    }


DIFFERENCES: dict[str, tuple[Difference, ...]] = {
    "tasks.request_no_expires": (different(_EXPIRES, "`expires=None` on the task, for ever"),),
    "tasks.request_delivery_info": (different(_VERSIONED),),
    "tasks.log_format": (different("logs are JSON lines", "`worker_log_format`, or `setup_logging`"),),
    "tasks.redirected": (
        different("prints stay prints: logs are JSON lines", "`worker_redirect_stdouts = True`"),
    ),
    "tasks.default_max_retries": (
        different("five tries are worth it where each waits longer", "`max_retries=3`"),
    ),
    "tasks.default_retry_delay": (
        different(
            "retries that all wait three minutes come back together: they wait from two seconds to ten "
            "minutes, doubling, half of it random",
            "`default_retry_delay=180`",
        ),
    ),
    "tasks.acks_early": (
        different(
            "with an early acknowledgement a task is lost with its worker", "`acks_late=False` on the task"
        ),
    ),
    "calling.connection_error": (
        different("SQS takes the task while Redis is away; only when neither does is it an error"),
    ),
    **{
        f"calling.{key}": (absent(_JSON, "arguments that are JSON"),)
        for key in ("pickle", "yaml", "own_serializer")
    },
    **_options(
        hostname="the name says pool, release and broker (`low.r1.primary@host`)",
        concurrency="`Pool(concurrency=…)` in `infra/environments.py`",
        solo='`Pool(execution="prefork")`, `threads` or `gevent`',
        loglevel="`TASKFLEET_LOG_LEVEL`",
        logfile="logs go to standard output, and from there to CloudWatch",
        pidfile="ECS runs one worker in a container",
        detach="ECS runs it",
        exclude_queues="`Pool(queues=…)`",
        include="`include` or `imports` of the application",
        purge="`celery purge -Q QUEUE`",
        task_events="`worker_send_task_events = True`, or `celery control enable_events`",
        optimization="nothing: Celery has `fair` alone",
        prefetch_multiplier_option="`worker_prefetch_multiplier`",
        disable_prefetch="nothing: a worker fetches one message a slot",
        time_limit_options="`Limits(…)`, or the limits of a task",
        max_tasks_option="`Limits(max_tasks_per_child=…)`, or `worker_max_tasks_per_child`",
        max_memory_option="`Pool(memory_mib=…)`, or `worker_max_memory_per_child`",
        pool_start_method="nothing: children are forked",
        autoscale="`Pool(min_workers=…, max_workers=…)`: scaling is by queue depth",
        control_autoscale="`Pool(min_workers=…, max_workers=…)`: scaling is by queue depth",
        embedded_beat="beat is a service of its own, one per release",
        without="nothing: gossip, mingle and heartbeat are off",
    ),
    "workers.scheduled": (
        different("a far ETA waits in the broker, not in a worker", "`fleet queues`", brokers=("redis",)),
    ),
    "workers.reserved": (
        different("a worker fetches one message a slot, so nothing waits in it", "`fleet queues`"),
    ),
    "workers.multi": (
        absent("ECS starts, watches and stops workers", "`Pool(min_workers=…)`, `fleet scale`"),
    ),
    "workers.warm_unbounded": (
        different(
            "ECS kills a container two minutes after TERM at the latest: what still runs goes back to its "
            "queue before",
            "`Limits(soft_shutdown_seconds=…)`",
        ),
    ),
    "workers.remap": (
        different("TERM is always the fleet's own drain", "`Limits(soft_shutdown_seconds=…)`"),
    ),
    "workers.soft": (
        different(
            "the time after TERM is the pool's, QUIT stops at once", "`Limits(soft_shutdown_seconds=…)`"
        ),
    ),
    **_no_control(
        add_consumer="add_consumer",
        cancel_consumer="cancel_consumer",
        pool_grow="pool_grow",
        pool_restart="pool_restart",
    ),
    "periodic.own_scheduler_option": (absent(_BEAT_OPTIONS, "`beat_scheduler`"),),
    "periodic.beat_options": (
        absent(_BEAT_OPTIONS, "`beat_max_loop_interval`; last runs are in the state table"),
    ),
    "periodic.schedule_filename": (
        different(
            "last runs are in the environment's state table: a container's file is gone with it",
            "a scheduler of your own that keeps them elsewhere, django-celery-beat's for instance",
        ),
    ),
    "routing.missing_queue": (
        different("`UnknownQueue`: nobody would run the task", "`Pool(queues=…)` and a deploy"),
    ),
    "routing.broadcast": (
        absent(
            "neither broker has exchanges, a task goes to one queue", "a publish to each queue by its name"
        ),
    ),
    "routing.all_queues": (different("a worker consumes the queues of its pool", "`Pool(queues=…)`"),),
    "routing.worker_direct": (
        absent(
            "workers come and go; a queue belongs to a pool", "a pool of one worker with a queue of its own"
        ),
    ),
    "routing.priority_steps": (
        absent("the four steps 0, 3, 6, 9 are fixed", "a queue and a pool of its own"),
    ),
    "signals.beat_embedded_init": (absent(_OPTIONS, "`beat_init`: beat is a service of its own"),),
    "configuration.broker_variable": (
        absent("Celery would send everything to another broker without a word", "remove the variable"),
    ),
    "configuration.acks_early": (
        absent(_ENFORCED["task_acks_late"].why, "`acks_late=False` on the task that must never run twice"),
    ),
    "configuration.rpc_backend": (
        absent(
            "it answers in a queue of one broker, and tasks go to either of two",
            "another backend, `Results()` in `infra/environments.py`",
        ),
    ),
    "configuration.backend_away": (different("a publish waits for no backend, and is accepted"),),
    "configuration.worker_concurrency": (
        absent("it has no effect", enforced.NO_EFFECT["worker_concurrency"]),
    ),
    "configuration.broker_url": (absent("it has no effect", enforced.NO_EFFECT["broker_url"]),),
    "configuration.beat_loop": (absent(_ENFORCED["beat_max_loop_interval"].why, "15 seconds at most"),),
    **_settings(
        ("publish", "task_serializer"),
        ("publish", "accept_content"),
        ("publish", "result_serializer"),
        ("publish", "result_accept_content"),
        ("publish", "task_reject_on_worker_lost"),
        ("publish", "task_send_sent_event"),
        ("worker", "worker_prefetch_multiplier"),
        ("worker", "worker_max_memory_per_child"),
        ("worker", "worker_cancel_long_running_tasks_on_connection_loss"),
        ("worker", "worker_consumer"),
    ),
    **_no_effect(
        "broker_connection_timeout",
        "broker_connection_retry",
        "broker_connection_max_retries",
        "broker_transport_options",
        "worker_soft_shutdown_timeout",
    ),
    **_defaults(
        task_acks_late="with an early acknowledgement a task is lost with its worker",
        task_reject_on_worker_lost="late acknowledgement alone loses the task of a child that is killed",
        task_retry_on_worker_lost="the loss of a process counts as a retry, so it is bounded",
        worker_prefetch_multiplier="what a busy worker holds, an idle one can't take",
        worker_max_tasks_per_child="what leaks is bounded; `Limits(max_tasks_per_child=…)`",
        worker_max_memory_per_child="the kernel would kill the container; `Pool(memory_mib=…)`",
        worker_proc_alive_timeout="4 s are less than a large application takes to start",
        task_soft_time_limit="nothing runs for ever; `Limits(soft_time_limit_seconds=…)`",
        task_time_limit="nothing runs for ever; `Limits(time_limit_seconds=…)`",
        worker_redirect_stdouts="logs are JSON lines, prints stay prints",
        redis_socket_timeout="a result backend that is away must not hold a worker up",
        redis_socket_connect_timeout="a result backend that is away must not hold a worker up",
        result_backend_transport_options="a result backend that is away must not hold a worker up",
    ),
    "monitoring.llen": (different(_VERSIONED, "`fleet queues`"),),
    "monitoring.control_purge": (
        different(
            "it deletes what waits in all queues of the current release, on both brokers", "`celery purge -Q`"
        ),
    ),
    "monitoring.task_rejected": (
        different(
            "a rejected message is kept as a dead letter, and is no loss", "`task-failed`, `fleet dead`"
        ),
    ),
    "monitoring.task_sent": (
        absent(_ENFORCED["task_send_sent_event"].why, "the signal `after_task_publish`"),
    ),
    "security.unsigned": (absent(_JSON, "TLS to both brokers, and permissions to publish"),),
    "security.auth": (absent(_JSON, "TLS to both brokers, and permissions to publish"),),
}

# Parts of the guide that no feature is about.
NOT_TRIED = {
    "RabbitMQ, Kafka, Google Pub/Sub, ZooKeeper … as the broker": "the fleet's brokers are Redis and SQS",
    "RabbitMQ's exchanges by hand, its kinds of queues, its message priorities": "they are RabbitMQ's",
    "the pool `eventlet`, and its signals": "no pool of the fleet; eventlet itself advises against new use",
    "results in databases (SQLAlchemy), MongoDB, Cassandra, Elasticsearch, Azure, Google Cloud …": (
        "their servers don't run here. That each setting of theirs reaches the worker is tried"
    ),
    "Django: `DatabaseScheduler`, `django-db`": "a whole project in `tests/projects/` runs on them",
    "arguments validated by Pydantic (`pydantic=True`), solar schedules, `task_remote_tracebacks`": (
        "they need packages that this project does not have; the code is the task's own, not the fleet's"
    ),
    "`celery migrate`": "the other broker has no releases: `fleet dead redrive`, or publish again",
    "`--uid`, `--gid`, `--umask`, init scripts, `systemd`": "containers have their user; ECS starts them",
    "Flower, `celery events` on a terminal, remote debugging (`rdb`, USR2)": (
        "somebody looks at them; [celery-commands.md](celery-commands.md) says what of Flower works"
    ),
}
