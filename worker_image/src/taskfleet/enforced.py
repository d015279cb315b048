"""The settings of Celery that an application may not have its own way, and those that have no effect.

`TABLE` is what the fleet's promises rest on: another value is a `SettingsError` when a worker or beat starts
and at a process's first publish, never at import, and never silence. ``docs/configuration.md`` has both lists
(``python -m taskfleet.enforced`` prints them, and a test compares).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from celery import Celery

from taskfleet.contract.environment import PRIMARY
from taskfleet.errors import SettingsError
from taskfleet.settings import ProducerSettings, WorkerSettings

_JSON = {"json", "application/json"}
_DROP = "remove the line"


@dataclass(frozen=True)
class Enforced:
    """One setting: what is ``allowed`` in words, whether a value is, why, and what to do with another.

    A ``role`` other than every process's is `worker` or `beat`.
    """

    setting: str
    allowed: str
    allows: Callable[[Any, Any], bool]  # the value, the process's settings
    why: str
    fix: str
    role: str = "every process"

    def problem(self, app: Celery, settings: ProducerSettings | None) -> str | None:
        """What is wrong with it in ``app``, or None."""
        value = app.conf.get(self.setting)
        if self.allows(value, settings):
            return None
        return f"{self.setting} = {value!r}: allowed is {self.allowed}, because {self.why}. Fix: {self.fix}."


def _is(expected: object) -> Callable[[Any, Any], bool]:
    return lambda value, _settings: value == expected


def _only_json(value: Any, _settings: Any) -> bool:
    return value is None or set([value] if isinstance(value, str) else value) <= _JSON


def _stops_copies(value: Any, settings: WorkerSettings) -> bool:
    return bool(value) is (settings.broker != PRIMARY)


def _fits(value: Any, settings: WorkerSettings) -> bool:
    most = settings.child_memory_mib * 1024
    return settings.execution != "prefork" or (value is not None and 0 < value <= most)


TABLE = (
    Enforced(
        "task_serializer",
        "json",
        lambda value, _settings: value in _JSON,
        "a message in another format would not be read: only JSON is, a pickle being code that whoever can "
        "write to a queue chooses",
        f"{_DROP}, and pass arguments that are JSON (ids, not objects)",
    ),
    Enforced(
        "accept_content",
        "only JSON",
        lambda value, settings: bool(value) and _only_json(value, settings),
        "whatever else is accepted is decoded before anything looks at it, a pickle runs as code",
        _DROP,
    ),
    Enforced(
        "result_serializer",
        "json",
        lambda value, _settings: value in _JSON,
        "results are read like messages, and only JSON is",
        f"{_DROP}, and return what is JSON",
    ),
    Enforced(
        "result_accept_content",
        "only JSON",
        _only_json,
        "results are read like messages, and only JSON is",
        _DROP,
    ),
    Enforced(
        "task_acks_late",
        "True",
        _is(True),
        "a message that is acknowledged before its task runs is lost with its worker",
        f"{_DROP}; a task that must never run twice says acks_late=False itself, and may then be lost",
    ),
    Enforced(
        "task_reject_on_worker_lost",
        "True",
        _is(True),
        "the task of a child that is killed would be acknowledged, and lost",
        f"{_DROP}; a task that must never run twice says reject_on_worker_lost=False itself",
    ),
    Enforced(
        "task_send_sent_event",
        "False",
        _is(False),
        "the event is a message to an exchange, which neither broker has",
        f"{_DROP}; the signal after_task_publish says the same in the producer",
    ),
    Enforced(
        "worker_prefetch_multiplier",
        "a whole number of at least 1",
        lambda value, _settings: isinstance(value, int) and value >= 1,
        "with 0 a worker takes a whole queue, which then neither scaling nor another worker can help with",
        f"{_DROP} for 1",
        role="worker",
    ),
    Enforced(
        "worker_max_memory_per_child",
        "at most the memory of a slot: Pool(memory_mib=…) less the parent's, shared out; in KiB",
        _fits,
        "the kernel kills the container of children that obey a limit which is larger than it",
        "remove the line, or raise memory_mib of the pool in infra/environments.py",
        role="worker",
    ),
    Enforced(
        "worker_cancel_long_running_tasks_on_connection_loss",
        "False in a worker on Redis, True in one on SQS",
        _stops_copies,
        "a worker keeps what it runs over a lost connection to Redis; SQS gives it to another worker",
        _DROP,
        role="worker",
    ),
    Enforced(
        "worker_consumer",
        "taskfleet.worker.consumer:Consumer",
        _is("taskfleet.worker.consumer:Consumer"),
        "draining, dead letters and the health check are in it",
        f"{_DROP}; steps of your own go into app.steps['consumer']",
        role="worker",
    ),
    Enforced(
        "beat_max_loop_interval",
        "15 seconds at most",
        lambda value, _settings: 0 < value <= 15,
        "beat says that it lives when it wakes up, and an alarm rings if it does not",
        f"{_DROP} for 10",
        role="beat",
    ),
)

# Set in most applications for plain Celery; what is used instead. Not an error, and said at a worker's start.
NO_EFFECT = {
    "broker_url": "the fleet's own brokers",
    "broker_read_url": "the fleet's own brokers",
    "broker_write_url": "the fleet's own brokers",
    "broker_transport": "the fleet's own transports",
    "broker_transport_options": "the fleet's own transports; Limits(…) in infra/environments.py",
    "broker_use_ssl": "TLS, always",
    "broker_connection_timeout": "the fleet's own time-outs",
    "broker_connection_retry": "a worker reconnects for as long as it takes",
    "broker_connection_retry_on_startup": "a worker reconnects for as long as it takes",
    "broker_connection_max_retries": "a worker reconnects for as long as it takes",
    "task_publish_retry": "a publish tries Redis, then SQS, then raises PublishError",
    "task_publish_retry_policy": "a publish tries Redis, then SQS, then raises PublishError",
    "worker_concurrency": "Pool(concurrency=…) in infra/environments.py",
    "worker_pool": "Pool(execution=…) in infra/environments.py",
    "worker_soft_shutdown_timeout": "Limits(soft_shutdown_seconds=…) in infra/environments.py",
    "worker_enable_remote_control": "off in a worker on SQS, which has no fan-out",
}


def problems(app: Celery, settings: ProducerSettings | None = None, *, role: str | None = None) -> list[str]:
    """Every setting of ``app`` that is not allowed, in every process or in one of that role, too."""
    roles = {"every process", role}
    found = [each.problem(app, settings) for each in TABLE if each.role in roles]
    return [each for each in found if each is not None]


def check(app: Celery, settings: ProducerSettings, *, role: str | None = None) -> None:
    """Raise `SettingsError` naming every setting of ``app`` that is not allowed in this process."""
    found = problems(app, settings, role=role)
    if found:
        raise SettingsError(
            "the configuration of the Celery application can't be right (docs/configuration.md):\n"
            + "\n".join(f"- {each}" for each in found)
        )


def without_effect(app: Celery, names: Iterable[str] = tuple(NO_EFFECT)) -> list[str]:
    """Those of ``NO_EFFECT`` that the application sets; before the fleet's values take their place."""
    return [name for name in names if app.conf.value_set_for(name) and app.conf.get(name) is not None]


def tables() -> str:
    """Both lists as Markdown, for ``docs/configuration.md``."""
    lines = ["| setting | in | allowed | why | instead |", "| --- | --- | --- | --- | --- |"]
    lines += [
        f"| `{each.setting}` | {each.role} | {each.allowed} | {each.why} | {each.fix} |" for each in TABLE
    ]
    lines += ["", "| setting | what is used instead |", "| --- | --- |"]
    lines += [f"| `{setting}` | {instead} |" for setting, instead in NO_EFFECT.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(tables())
