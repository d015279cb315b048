"""The application as beat runs it; ``celery --app taskfleet.beat.main:app beat`` imports this."""

from __future__ import annotations

from celery import Celery

from taskfleet import applications, config, enforced, logs
from taskfleet.beat.scheduler import over
from taskfleet.settings import BeatSettings


def build(settings: BeatSettings) -> Celery:
    """The team's application, with beat's configuration. Raises `taskfleet.errors.SettingsError`."""
    app = applications.load(settings.app)
    app.taskfleet.bind(settings)
    app.taskfleet.defaults.add(config.beat_defaults())
    enforced.check(app, settings, role="beat")
    app.loader.init_worker()  # as beat itself does a moment later: schedulers of Django need its set-up
    app.conf.beat_scheduler = over(app.conf.beat_scheduler)
    app.Beat = app.subclass_with_self("taskfleet.beat.stopping:UnwindingBeat")
    logs.on_setup(app)
    return app


app = applications.built(build, BeatSettings)
