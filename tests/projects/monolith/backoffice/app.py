"""The application: autodiscovery over all parts, Sentry, logging of its own."""

import logging
import logging.config
import os
from pathlib import Path

import sentry_sdk
from celery import Celery
from celery.schedules import schedstate, schedule
from celery.signals import setup_logging
from sentry_sdk.integrations.celery import CeleryIntegration
from taskfleet import install


class Minutely(schedule):
    """Due each second: each minute is the least that Sentry watches, and long for a test."""

    def is_due(self, last_run_at):
        """Always."""
        return schedstate(True, 1.0)


HERE = Path(__file__).parent


# SENTRY_DSN says where to.
sentry_sdk.init(
    integrations=[CeleryIntegration(monitor_beat_tasks=True)],
    traces_sample_rate=1.0,
)


@setup_logging.connect
def configure_logging(**_):
    """In the team's own format, to the team's own place."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"own": {"format": "OWN %(levelname)s %(name)s %(message)s"}},
            "handlers": {
                "own": {
                    "class": "logging.FileHandler",
                    "filename": os.environ["BACKOFFICE_LOG"],
                    "formatter": "own",
                }
            },
            "root": {"level": "INFO", "handlers": ["own"]},
        }
    )


app = Celery("backoffice", task_cls="backoffice.base:AuditedTask")
app.config_from_object("backoffice.celeryconfig")
app.autodiscover_tasks(lambda: [f"backoffice.{part.name}" for part in sorted(HERE.glob("part_*"))])
app.conf.beat_schedule = {"nightly": {"task": "backoffice.part_00.tasks.work", "schedule": Minutely(60)}}

install(app)
