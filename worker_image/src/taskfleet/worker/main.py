"""The application as a worker runs it; ``celery --app taskfleet.worker.main:app worker`` imports this."""

from __future__ import annotations

from celery import Celery
from celery.signals import worker_init

from taskfleet import applications, config, logs
from taskfleet.errors import PointerUnknown
from taskfleet.settings import WorkerSettings, read
from taskfleet.worker import timing


def build(settings: WorkerSettings) -> Celery:
    """The team's application, with a worker's configuration."""
    app = applications.load(settings.app)
    app.taskfleet.bind(settings)
    app.conf.update({**config.enforced(), **config.worker(settings)})
    logs.on_setup(level=settings.log_level, release=settings.release, pool=settings.pool)
    timing.measure(settings)
    return app


app = build(read(WorkerSettings))


@worker_init.connect(weak=False)  # type: ignore[untyped-decorator]
def _know_the_queues(**_signal: object) -> None:
    """Read the release's manifest before children are forked: they inherit it and need not ask."""
    settings = app.taskfleet.settings
    try:
        app.taskfleet.releases.queues(settings.release)
    except PointerUnknown:
        logs.logger.warning(
            "the manifest of %s can't be read yet; it is read at the first publish", settings.release
        )
