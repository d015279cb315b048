"""The application as beat runs it; ``celery --app taskfleet.beat.main:app beat`` imports this."""

from __future__ import annotations

from celery import Celery

from taskfleet import applications, config, logs
from taskfleet.settings import BeatSettings, read


def build(settings: BeatSettings) -> Celery:
    """The team's application, with beat's configuration."""
    app = applications.load(settings.app)
    app.taskfleet.bind(settings)
    app.conf.update({**config.enforced(), **config.beat(settings)})
    logs.on_setup(level=settings.log_level)
    return app


app = build(read(BeatSettings))
