"""The chapter on configuration: https://docs.celeryq.dev/en/stable/userguide/configuration.html

With the part of the chapter on the application that is about configuration.
"""

from __future__ import annotations

import os
import sys
import time
import types
from typing import Any, ClassVar

import redis
from celery import Celery, Task, chord

from tests.compat import app as the_app
from tests.compat.app import app
from tests.compat.context import Context, outcome, variables
from tests.compat.feature import feature
from tests.compat.tasks import ONLY_PREFORK, add, fails, got, total, waits
from tests.compat.workers import inspected, listens, long

# How an application is configured.


def effective(context: Context, made: Celery) -> Any:
    """The two settings that these features set, after the fleet's line."""
    if context.side.is_fleet:
        from taskfleet import install

        install(made)
    return [str(made.conf.timezone), made.conf.task_ignore_result]


class Configuration:
    """A configuration as a class."""

    timezone = "Europe/Berlin"
    task_ignore_result = True


class Namespaced:
    """As Django's settings are."""

    CELERY_TIMEZONE = "Europe/Berlin"
    CELERY_TASK_IGNORE_RESULT = True


SAID = ["Europe/Berlin", True]


def new() -> Celery:
    """Of this process alone."""
    return Celery("configured", set_as_current=False)


@feature("`app.conf.x = …`", SAID, once=True)
def attributes(context: Context) -> Any:
    made = new()
    made.conf.timezone, made.conf.task_ignore_result = "Europe/Berlin", True
    return effective(context, made)


@feature("`app.conf.update(…)`", SAID, once=True)
def update(context: Context) -> Any:
    made = new()
    made.conf.update(timezone="Europe/Berlin", task_ignore_result=True)
    return effective(context, made)


@feature("`config_from_object`: a class", SAID, once=True)
def from_class(context: Context) -> Any:
    made = new()
    made.config_from_object(Configuration)
    return effective(context, made)


@feature("`config_from_object`: a name", SAID, once=True)
def from_name(context: Context) -> Any:
    made = new()
    made.config_from_object("tests.compat.configuration:Configuration")
    return effective(context, made)


@feature("`config_from_object`: a module", SAID, once=True)
def from_module(context: Context) -> Any:
    module = types.ModuleType("a_celeryconfig")
    module.timezone, module.task_ignore_result = SAID  # type: ignore[attr-defined]
    made = new()
    made.config_from_object(module)
    return effective(context, made)


@feature("`config_from_object(…, namespace='CELERY')`", SAID, once=True)
def from_namespace(context: Context) -> Any:
    made = new()
    made.config_from_object(Namespaced, namespace="CELERY")
    return effective(context, made)


@feature("`config_from_object` after everything else", SAID, once=True)
def from_object_late(context: Context) -> Any:
    made = new()
    effective(context, made)
    made.config_from_object(Configuration)
    return effective(context, made)


@feature("`config_from_envvar`", SAID, once=True)
def from_envvar(context: Context) -> Any:
    sys.modules["a_config_of_env"] = module = types.ModuleType("a_config_of_env")
    module.timezone, module.task_ignore_result = SAID  # type: ignore[attr-defined]
    made = new()
    with variables(A_CELERY_CONFIG="a_config_of_env"):
        made.config_from_envvar("A_CELERY_CONFIG")
        return effective(context, made)


@feature("`add_defaults`", SAID, once=True)
def add_defaults(context: Context) -> Any:
    made = new()
    made.add_defaults({"timezone": "Europe/Berlin", "task_ignore_result": True})
    return effective(context, made)


@feature("`CELERY_RESULT_BACKEND` in the environment", "cache+memory://", once=True)
def backend_variable(context: Context) -> Any:
    with variables(CELERY_RESULT_BACKEND="cache+memory://"):
        made = new()
        effective(context, made)
        return made.conf.result_backend


@feature("`CELERY_BROKER_URL` in the environment of a worker", True, once=True)
def broker_variable(context: Context) -> Any:
    worker = context.worker(ready=False, CELERY_BROKER_URL=context.side.redis)
    context.wait(lambda: " ready." in worker.text() or worker.process.poll() is not None)
    return " ready." in worker.text()


@feature("`app.conf.humanize()`", True, once=True)
def humanize(context: Context) -> Any:
    made = new()
    made.conf.timezone = "Europe/Berlin"
    return "timezone: 'Europe/Berlin'" in made.conf.humanize(with_defaults=False)


# Settings and what they do.


@app.task(name="configuration.value")
def value(setting: str) -> str:
    """What the worker has."""
    return str(app.conf.get(setting))


@app.task(bind=True, name="configuration.annotated")
def annotated(self: Task) -> list[Any]:
    """Two options."""
    return [self.rate_limit, self.acks_late]


def worker_says(context: Context, task: Any = annotated, *args: Any, **conf: Any) -> Any:
    """The result of a task on a worker with this configuration."""
    return got(task.apply_async(args, queue=context.worker(conf=conf).queue))


@feature("`task_annotations`: of a task", "7/s", once=True)
def annotations(context: Context) -> Any:
    return worker_says(context, task_annotations={"configuration.annotated": {"rate_limit": "7/s"}})[0]


@feature("`task_annotations`: of all tasks", "9/s", once=True)
def annotations_all(context: Context) -> Any:
    return worker_says(context, task_annotations={"*": {"rate_limit": "9/s"}})[0]


@feature("`task_default_rate_limit`", "8/s", once=True)
def default_rate_limit(context: Context) -> Any:
    return worker_says(context, task_default_rate_limit="8/s")[0]


@feature("`worker_disable_rate_limits`", True, once=True)
def disable_rate_limits(context: Context) -> Any:
    from tests.compat.tasks import limited

    worker = context.worker(conf={"worker_disable_rate_limits": True})
    for _ in range(3):
        limited.apply_async((context.key,), queue=worker.queue)
    return sum(waits(context, 3)) < 1.9


@feature("`task_compression`", 4)
def task_compression(context: Context) -> Any:
    return got(context.make_app(task_compression="gzip").send_task(add.name, (2, 2)))


@feature("`task_protocol = 1`", 4)
def protocol(context: Context) -> Any:
    return got(context.make_app(task_protocol=1).send_task(add.name, (2, 2)))


@feature("`enable_utc = False`, `timezone`: a countdown", 4)
def no_utc(context: Context) -> Any:
    made = context.make_app(enable_utc=False, timezone="Asia/Tokyo")
    return got(made.send_task(add.name, (2, 2), countdown=1))


def eager(context: Context, task: Any, **conf: Any) -> Any:
    """The result of a task in this process."""
    made = context.make_app(task_always_eager=True, **conf)
    return made.task(task, name=f"eager.{task.__name__}").delay()


def divides() -> float:
    """By nothing."""
    return 1 / 0


@feature("`task_always_eager`", "FAILURE", once=True, alone=True)
def always_eager(context: Context) -> Any:
    return eager(context, divides).state


@feature("`task_eager_propagates`", "raises ZeroDivisionError", once=True, alone=True)
def eager_propagates(context: Context) -> Any:
    return outcome(lambda: eager(context, divides, task_eager_propagates=True).state)


def one() -> int:
    """One."""
    return 1


@feature("`task_store_eager_result`", 1, once=True, alone=True)
def store_eager_result(context: Context) -> Any:
    result = eager(context, one, task_store_eager_result=True)
    return app.AsyncResult(result.id).get(timeout=10)


@feature("`task_ignore_result` of the application", "PENDING", once=True)
def ignore_result(context: Context) -> Any:
    conf = {"task_ignore_result": True}
    worker = context.worker(conf=conf)
    result = context.make_app(**conf).send_task("calling.note", (context.key,), queue=worker.queue)
    context.wait_marks()
    return context.settled(lambda: app.AsyncResult(result.id).state, 1)


@feature("`task_store_errors_even_if_ignored` of the application", "FAILURE", once=True)
def store_errors(context: Context) -> Any:
    worker = context.worker(conf={"task_ignore_result": True, "task_store_errors_even_if_ignored": True})
    result = app.AsyncResult(fails.apply_async(queue=worker.queue, ignore_result=True).id)
    context.wait(result.ready)
    return result.state


@feature("`task_track_started` of the application", "STARTED", once=True)
def track_started(context: Context) -> Any:
    worker = context.worker(conf={"task_track_started": True})
    result = long.apply_async((context.key, 4), queue=worker.queue)
    context.wait_marks()
    return result.state


@feature("`task_acks_late` of the application: False", "accepted", once=True)
def acks_early(context: Context) -> Any:
    made = context.make_app(task_acks_late=False)
    return outcome(lambda: made.send_task(add.name, (1, 1)) and "accepted")


@feature(
    "`result_extended`: name, arguments and queue of the task", ["tests.compat.tasks.add", [2, 2]], once=True
)
def result_extended(context: Context) -> Any:
    worker = context.worker(conf={"result_extended": True})
    result = add.apply_async((2, 2), queue=worker.queue)
    got(result)
    return [result.name, list(result.args)]


@feature("`result_expires`", True, once=True)
def result_expires(context: Context) -> Any:
    worker = context.worker(conf={"result_expires": 300})
    result = add.apply_async((2, 2), queue=worker.queue)
    got(result)
    with redis.Redis.from_url(os.environ[the_app.RESULTS]) as client:
        return 0 < client.ttl(f"celery-task-meta-{result.id}") <= 300


@feature("`result_compression`", 4, once=True)
def result_compression(context: Context) -> Any:
    conf = {"result_compression": "gzip"}
    worker = context.worker(conf=conf)
    return got(context.make_app(**conf).send_task(add.name, (2, 2), queue=worker.queue))


@feature("`imports`", True, once=True)
def imports(context: Context) -> Any:
    worker = context.worker(conf={"imports": ["tests.compat.besides"]})
    return got(app.send_task("besides.there", queue=worker.queue))


@feature("`worker_log_format`", True, once=True)
def log_format(context: Context) -> Any:
    worker = context.worker(conf={"worker_log_format": "MINE %(message)s"}, ready=False)
    got(add.apply_async((2, 2), queue=worker.queue), worker)
    return "MINE " in worker.text()


@feature("`worker_redirect_stdouts = True`", True, once=True)
def redirect_stdouts(context: Context) -> Any:
    from tests.compat.tasks import logs

    worker = context.worker(conf={"worker_redirect_stdouts": True})
    got(logs.apply_async((context.key,), queue=worker.queue))
    text = f"printed {context.key}"
    context.wait(lambda: text in worker.text())
    return "WARNING" in next(line for line in worker.text().splitlines() if text in line)


@feature("`worker_enable_remote_control = False`", None, brokers=("redis",), once=True)
def no_remote_control(context: Context) -> Any:
    worker = context.worker(conf={"worker_enable_remote_control": False})
    return app.control.inspect(destination=[worker.node], timeout=2).ping()


@feature("`worker_send_task_events = True`", True, brokers=("redis",), once=True)
def send_task_events(context: Context) -> Any:
    worker = context.worker(conf={"worker_send_task_events": True})
    listens(worker)
    to = {"destination": [worker.node], "reply": True, "timeout": 10, "limit": 1}
    return "already enabled" in str(app.control.enable_events(**to))


@feature("`worker_proc_alive_timeout`: a child's long start", 4, pools=ONLY_PREFORK, once=True)
def proc_alive_timeout(context: Context) -> Any:
    worker = context.worker(conf={"worker_proc_alive_timeout": 30.0})
    return got(add.apply_async((2, 2), queue=worker.queue))


@feature("`task_allow_error_cb_on_chord_header`", ["ChordError", "ValueError"], once=True)
def error_cb_on_header(context: Context) -> Any:
    from tests.compat.tasks import on_error

    made = context.make_app(task_allow_error_cb_on_chord_header=True)
    body = made.signature(total.name)
    header = [made.signature(fails.name), made.signature(add.name, (1, 1))]
    chord(header, body, app=made).on_error(made.signature(on_error.name, (context.key,))).apply_async()
    context.wait_marks(2)
    return context.settled(lambda: sorted(context.marks()))


# Result backends.


def on_backend(context: Context, url: str, **conf: Any) -> Any:
    """A result, and that of a chord, of an application with this backend."""
    conf = {"result_backend": url, **conf}
    worker = context.worker(conf=conf)
    made = context.make_app(**conf)
    to = {"queue": worker.queue}
    plain = got(made.send_task(add.name, (2, 2), **to))
    header = [made.signature(add.name, (n, n)).set(**to) for n in (1, 2)]
    return [plain, got(chord(header, app=made)(made.signature(total.name).set(**to)))]


@feature("results in Redis", [4, 6])
def redis_backend(context: Context) -> Any:
    return on_backend(context, os.environ[the_app.RESULTS])


@feature("results in files", [4, 6], once=True)
def file_backend(context: Context) -> Any:
    folder = context.shared.folder / context.key
    folder.mkdir()
    return on_backend(context, f"file://{folder}")


@feature("results in DynamoDB", [4, 6], once=True)
def dynamodb_backend(context: Context) -> Any:
    return on_backend(context, f"dynamodb://@us-east-1/results-{context.side.name}-{int(time.time())}")


@feature("results in S3", 4, once=True)
def s3_backend(context: Context) -> Any:
    import boto3

    bucket = f"results-{context.side.name}-{int(time.time())}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    conf = {
        "result_backend": "s3://",
        "s3_bucket": bucket,
        "s3_region": "us-east-1",
        "s3_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
        "s3_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
        "s3_endpoint_url": os.environ["AWS_ENDPOINT_URL"],
    }
    worker = context.worker(conf=conf)
    return got(context.make_app(**conf).send_task(add.name, (2, 2), queue=worker.queue))


@feature("results over the broker: `rpc://`", 4, brokers=("redis",), once=True)
def rpc_backend(context: Context) -> Any:
    conf = {"result_backend": "rpc://"}
    worker = context.worker(conf=conf)
    return got(context.make_app(**conf).send_task(add.name, (2, 2), queue=worker.queue))


@feature("no backend: results are dropped", "raises NotImplementedError", once=True)
def no_backend(context: Context) -> Any:
    conf = {"result_backend": None}
    worker = context.worker(conf=conf)
    result = context.make_app(**conf).send_task("calling.note", (context.key,), queue=worker.queue)
    context.wait_marks()
    return outcome(lambda: result.get(timeout=5))


class OwnBackend:
    """A configuration with a backend of one's own."""

    override_backends: ClassVar[dict[str, str]] = {"mine": "celery.backends.redis:RedisBackend"}
    result_backend = "mine://127.0.0.1:1/0"


@feature("`override_backends`: a backend of one's own", "RedisBackend", once=True)
def own_backend(context: Context) -> Any:
    made = new()
    made.config_from_object(OwnBackend)
    effective(context, made)
    return next(each.__name__ for each in type(made.backend).__mro__ if each.__module__.startswith("celery."))


@feature("the backend is away: `delay()` is an error, after a while", "raises RuntimeError", once=True)
def backend_away(context: Context) -> Any:
    conf = {"result_backend": "redis://127.0.0.1:1/0", "task_ignore_result": False}
    made = context.make_app(**conf, redis_socket_connect_timeout=1)
    return outcome(lambda: made.send_task(add.name, (1, 1), queue="parked") and "accepted")


# Each setting alone: what the worker makes of it.

# What is allowed on the fleet, in one worker; the values are none of Celery's defaults.
KEPT: dict[str, Any] = {
    "accept_content": ["application/json"],
    "result_accept_content": ["json"],
    "task_annotations": {"nobody.knows": {"rate_limit": "1/s"}},
    "task_compression": "gzip",
    "task_protocol": 2,
    "task_eager_propagates": True,
    "task_remote_tracebacks": False,
    "task_store_errors_even_if_ignored": True,
    "task_track_started": True,
    "task_time_limit": 123,
    "task_soft_time_limit": 99,
    "task_allow_error_cb_on_chord_header": True,
    "task_acks_on_failure_or_timeout": True,
    "task_acks_on_failure": True,
    "task_acks_on_timeout": True,
    "task_default_rate_limit": "1000/s",
    "task_routes": {"nobody.knows": {"queue": "high"}},
    "task_queue_max_priority": 7,
    "task_default_priority": 5,
    "task_inherit_parent_priority": True,
    "task_create_missing_queue_type": "classic",
    "task_create_missing_queue_exchange_type": "direct",
    "task_default_queue": "high",
    "task_default_queue_type": "classic",
    "task_default_exchange": "an-exchange",
    "task_default_exchange_type": "topic",
    "task_default_routing_key": "a-key",
    "task_default_delivery_mode": "transient",
    "result_backend_always_retry": True,
    "result_backend_max_sleep_between_retries_ms": 9000,
    "result_backend_base_sleep_between_retries_ms": 20,
    "result_backend_max_retries": 4,
    "result_backend_thread_safe": True,
    "result_backend_transport_options": {"retry_policy": {"timeout": 3.0}},
    "result_compression": "gzip",
    "result_extended": True,
    "result_expires": 1234,
    "result_cache_max": 55,
    "result_chord_join_timeout": 4.0,
    "result_chord_retry_interval": 2.0,
    "result_persistent": True,
    "database_create_tables_at_setup": False,
    "database_engine_options": {"echo": True},
    "database_short_lived_sessions": True,
    "database_table_schemas": {"task": "celery"},
    "database_table_names": {"task": "myapp_taskmeta"},
    "cache_backend_options": {"binary": True},
    "mongodb_backend_settings": {"database": "mydb"},
    "redis_backend_health_check_interval": 7,
    "redis_max_connections": 77,
    "redis_socket_connect_timeout": 6.0,
    "redis_socket_timeout": 8.0,
    "redis_retry_on_timeout": True,
    "redis_socket_keepalive": True,
    "redis_client_name": "mine",
    "cassandra_servers": ["localhost"],
    "cassandra_port": 9999,
    "cassandra_keyspace": "celery",
    "cassandra_table": "tasks",
    "cassandra_read_consistency": "ONE",
    "cassandra_write_consistency": "ONE",
    "cassandra_entry_ttl": 5,
    "cassandra_auth_provider": "PlainTextAuthProvider",
    "cassandra_options": {"cql_version": "3.2.1"},
    "s3_bucket": "a-bucket",
    "s3_base_path": "/prefix",
    "s3_endpoint_url": "http://localhost:1",
    "s3_region": "us-east-1",
    "azureblockblob_container_name": "celery",
    "azureblockblob_base_path": "prefix/",
    "azureblockblob_retry_initial_backoff_sec": 3,
    "azureblockblob_retry_increment_base": 4,
    "azureblockblob_retry_max_attempts": 5,
    "azureblockblob_connection_timeout": 30,
    "azureblockblob_read_timeout": 130,
    "gcs_bucket": "a-bucket",
    "gcs_project": "a-project",
    "gcs_base_path": "/prefix",
    "elasticsearch_retry_on_timeout": True,
    "elasticsearch_max_retries": 6,
    "elasticsearch_timeout": 20.0,
    "elasticsearch_save_meta_as_text": False,
    "couchbase_backend_settings": {"host": "localhost"},
    "arangodb_backend_settings": {"host": "localhost"},
    "cosmosdbsql_database_name": "a-database",
    "cosmosdbsql_collection_name": "a-collection",
    "cosmosdbsql_consistency_level": "Eventual",
    "cosmosdbsql_max_retry_attempts": 3,
    "cosmosdbsql_max_retry_wait_time": 15,
    "broker_failover_strategy": "shuffle",
    "broker_heartbeat": 60.0,
    "broker_heartbeat_checkrate": 3.0,
    "broker_pool_limit": 20,
    "broker_pool_acquire_timeout": 5.0,
    "broker_login_method": "PLAIN",
    "broker_native_delayed_delivery_queue_type": "classic",
    "worker_deduplicate_successful_tasks": False,
    "worker_prefetch_multiplier": 2,
    "worker_eta_task_limit": 500,
    "worker_disable_prefetch": False,
    "worker_enable_prefetch_count_reduction": False,
    "worker_lost_wait": 20.0,
    "worker_max_tasks_per_child": 321,
    "worker_disable_rate_limits": True,
    "worker_timer_precision": 2.0,
    "worker_proc_alive_timeout": 44.0,
    "worker_detect_quorum_queues": False,
    "worker_enable_soft_shutdown_on_idle": True,
    "worker_send_task_events": True,
    "event_queue_ttl": 10.0,
    "event_queue_expires": 90.0,
    "event_queue_prefix": "events",
    "event_exchange": "celeryevents",
    "event_serializer": "json",
    "control_queue_ttl": 400.0,
    "control_queue_expires": 20.0,
    "control_exchange": "control",
    "worker_hijack_root_logger": True,
    "worker_log_color": False,
    "worker_log_format": "%(message)s",
    "worker_task_log_format": "%(task_name)s %(message)s",
    "worker_redirect_stdouts": True,
    "worker_redirect_stdouts_level": "ERROR",
    "security_digest": "sha512",
    "worker_pool_restarts": False,
    "worker_autoscaler": "celery.worker.autoscale:Autoscaler",
    "beat_schedule": {"never": {"task": "nobody.knows", "schedule": 99999999.0}},
    "beat_sync_every": 3,
    "beat_max_loop_interval": 7,
    "beat_cron_starting_deadline": 60,
    "beat_schedule_filename": "another-file",
    "beat_scheduler": "celery.beat:PersistentScheduler",
    "timezone": "Europe/Vienna",
    "enable_utc": True,
    "imports": ["tests.compat.besides"],
}


def in_worker(context: Context, purpose: str, setting: str, conf: dict[str, Any]) -> Any:
    """The setting in a worker that has all of ``conf``."""
    worker = context.shared_worker(purpose, conf=conf)
    return got(app.send_task("configuration.value", (setting,), queue=worker.queue))


def _of_setting(setting: str, said: Any, purpose: str, conf: dict[str, Any], group: str) -> None:
    def run(context: Context) -> Any:
        return in_worker(context, purpose, setting, conf)

    run.__name__ = f"{purpose}_{setting}"
    feature(f"`{setting}`", str(said), once=True, group=group)(run)


for _setting, _said in KEPT.items():
    _of_setting(_setting, _said, "kept", KEPT, "a worker has what the application says")

# What an application may say, and what has no effect on the fleet.
OVERRULED: dict[str, Any] = {
    "broker_connection_timeout": 9.0,
    "broker_connection_retry": False,
    "broker_connection_max_retries": 3,
    "broker_transport_options": {"visibility_timeout": 7200},
    "worker_soft_shutdown_timeout": 11.0,
}
for _setting, _said in OVERRULED.items():
    _of_setting(_setting, _said, "overruled", OVERRULED, "")

# Celery's defaults where the fleet has others.
DEFAULTS: dict[str, Any] = {
    "task_acks_late": False,
    "task_reject_on_worker_lost": None,
    "task_retry_on_worker_lost": False,
    "worker_prefetch_multiplier": 4,
    "worker_eta_task_limit": None,
    "worker_max_tasks_per_child": None,
    "worker_max_memory_per_child": None,
    "worker_proc_alive_timeout": 4.0,
    "task_soft_time_limit": None,
    "task_time_limit": None,
    "worker_redirect_stdouts": True,
    "redis_socket_timeout": 120.0,
    "redis_socket_connect_timeout": None,
    "result_backend_transport_options": {},
    "worker_send_task_events": False,
    "task_ignore_result": False,
    "task_track_started": False,
    "task_serializer": "json",
    "result_serializer": "json",
    "timezone": None,
    "enable_utc": True,
}


def _of_default(setting: str, said: Any) -> None:
    def run(context: Context) -> Any:
        return got(app.send_task("configuration.value", (setting,)))

    run.__name__ = f"default_{setting}"
    feature(f"`{setting}` is {said} by default", str(said), once=True)(run)


for _setting, _said in DEFAULTS.items():
    _of_default(_setting, _said)

# What the fleet's promises rest on: another value is refused.
REFUSED: dict[str, Any] = {
    "task_serializer": "pickle",
    "accept_content": ["json", "pickle"],
    "result_serializer": "pickle",
    "result_accept_content": ["json", "pickle"],
    "task_reject_on_worker_lost": False,
    "task_send_sent_event": True,
}


def _of_refused(setting: str, said: Any) -> None:
    def run(context: Context) -> Any:
        made = context.make_app(**{setting: said})
        return outcome(lambda: made.send_task(add.name, (1, 1), queue="parked") and "accepted")

    run.__name__ = f"publish_{setting}"
    feature(f"`{setting} = {said!r}`: a publish", "accepted", once=True)(run)


for _setting, _said in REFUSED.items():
    _of_refused(_setting, _said)

REFUSED_IN_WORKER: dict[str, Any] = {
    "worker_prefetch_multiplier": 0,
    "worker_max_memory_per_child": 10_000_000,
    "worker_cancel_long_running_tasks_on_connection_loss": True,
    "worker_consumer": "celery.worker.consumer:Consumer",
}


def _of_refused_in_worker(setting: str, said: Any) -> None:
    def run(context: Context) -> Any:
        return got(add.apply_async((2, 2), queue=context.worker(conf={setting: said}).queue))

    run.__name__ = f"worker_{setting}"
    feature(f"`{setting} = {said!r}`: a worker", 4, once=True)(run)


for _setting, _said in REFUSED_IN_WORKER.items():
    _of_refused_in_worker(_setting, _said)


@feature("`beat_max_loop_interval = 60`: beat", True, once=True)
def beat_loop(context: Context) -> Any:
    beat = context.beat(conf={"beat_max_loop_interval": 60})
    context.wait(lambda: "beat: Starting" in beat.text() or beat.process.poll() is not None)
    return "beat: Starting" in beat.text()


@feature("`worker_concurrency`", 3, brokers=("redis",), once=True)
def worker_concurrency(context: Context) -> Any:
    worker = context.worker(conf={"worker_concurrency": 3}, slots=None)
    return inspected(worker, "stats")["pool"]["max-concurrency"]


@feature("`broker_url`: where a worker listens", True, once=True)
def broker_url(context: Context) -> Any:
    other = context.side.redis.rpartition("/")[0] + "/9"
    worker = context.worker(conf={"broker_url": other})
    with redis.Redis.from_url(other) as client:
        return bool(client.client_list()) and "/9" in worker.text()
