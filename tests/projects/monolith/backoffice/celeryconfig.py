"""The configuration, as it was for plain Celery on RabbitMQ."""

from kombu import Exchange, Queue

broker_url = "amqp://guest@localhost//"
broker_pool_limit = 50
broker_heartbeat = 10
task_publish_retry_policy = {"max_retries": 5}
worker_prefetch_multiplier = 4
worker_max_tasks_per_child = 500
task_time_limit = 600
task_soft_time_limit = 540
task_acks_late = True
task_track_started = True
task_ignore_result = True
enable_utc = True
timezone = "America/New_York"

default = Exchange("default", type="direct")
mail = Exchange("mail", type="topic")
reports = Exchange("reports", type="direct")

task_queues = (
    Queue("default", default, routing_key="default"),
    Queue("mail", mail, routing_key="mail.#"),
    Queue("reports", reports, routing_key="reports.run", queue_arguments={"x-max-priority": 10}),
)
task_default_queue = "default"
task_default_exchange = "default"
task_default_routing_key = "default"
task_create_missing_queues = False


def by_name(name, args, kwargs, options, task=None, **kw):
    """A router of the team's own."""
    if name.endswith(".report"):
        return {"exchange": "reports", "routing_key": "reports.run"}
    return None


task_routes = (by_name, {"backoffice.*.tasks.send_mail": {"queue": "mail", "routing_key": "mail.out"}})
task_annotations = {"backoffice.part_03.tasks.work": {"default_retry_delay": 1, "max_retries": 1}}
