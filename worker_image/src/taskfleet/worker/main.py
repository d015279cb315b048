"""The application as a worker runs it; ``celery --app taskfleet.worker.main:app worker`` imports this."""

from __future__ import annotations

from celery import Celery
from celery.signals import celeryd_after_setup, celeryd_init

from taskfleet import applications, config, enforced, hardening, logs
from taskfleet.errors import PointerUnknown
from taskfleet.settings import WorkerSettings
from taskfleet.worker import builds, expiring, forking, linting, timing


def build(settings: WorkerSettings) -> Celery:
    """The team's application, with a worker's configuration. Raises `taskfleet.errors.SettingsError`."""
    app = applications.load(settings.app)
    app.taskfleet.bind(settings)
    app.taskfleet.defaults.add(config.worker_defaults(settings))
    unused = enforced.without_effect(app)
    app.conf.update(config.connection(settings))
    enforced.check(app, settings, role="worker")
    logs.on_setup(app, release=settings.release, pool=settings.pool)
    timing.measure(settings)
    expiring.count(settings)
    celeryd_init.connect(lambda **_signal: _add_queues(app, settings), weak=False)
    celeryd_after_setup.connect(lambda **_signal: _before_children(app, settings, unused), weak=False)
    return app


def _before_children(app: Celery, settings: WorkerSettings, unused: list[str]) -> None:
    builds.admit(app, settings)
    _report(app, unused)
    _know_the_queues(app)
    linting.at_start(app, settings.release)
    forking.free_locks_in_children()


def _add_queues(app: Celery, settings: WorkerSettings) -> None:
    """What it consumes, also where the application says ``task_create_missing_queues=False``."""
    queues = app.amqp.queues
    for name in settings.versioned_queues:
        queues.add(queues.new_missing(name))


def _report(app: Celery, unused: list[str]) -> None:
    """Say what of the application is not as its team may think."""
    for setting in unused:
        logs.logger.info(
            "the setting %s of the application has no effect: %s", setting, enforced.NO_EFFECT[setting]
        )
    for task, reason in hardening.lacking(app):
        logs.logger.warning("the task %s is not protected: %s", task, reason)


def _know_the_queues(app: Celery) -> None:
    """Read the release's manifest: children that are forked later inherit it and need not ask."""
    settings = app.taskfleet.settings
    try:
        app.taskfleet.releases.queues(settings.release)
    except PointerUnknown:
        logs.logger.warning(
            "the manifest of %s can't be read yet; it is read at the first publish", settings.release
        )


app = applications.built(build, WorkerSettings)
