"""``install(app)``: one line that hardens an existing Celery application for the fleet.

    app = Celery("shop")
    taskfleet.install(app)

Nothing of the environment is read and nothing is connected to before the first publish or the start of
a worker, so a module that installs can be imported anywhere: in tests, in a shell, in a migration.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from celery import Celery

from taskfleet import aws, config, control, enforced, hardening, in_memory, settings
from taskfleet.brokers import connections, credentials
from taskfleet.contract.limits import CONFIRMING_REPLICAS
from taskfleet.contract.messages import GATE_CHECK_TASK, GATE_TASK
from taskfleet.layers import Defaults
from taskfleet.per_process import PerProcess
from taskfleet.publishing import awaitable, canvas, chains, results
from taskfleet.publishing.asynchronous import AsyncPublisher
from taskfleet.publishing.fallback import Fallback
from taskfleet.publishing.leasing import ProducerLease, Who
from taskfleet.publishing.pointer import Releases
from taskfleet.publishing.primary import Primary
from taskfleet.publishing.producer import FleetProducer
from taskfleet.publishing.publisher import Publisher
from taskfleet.publishing.scheduling import Scheduling
from taskfleet.releases.leases import Leases
from taskfleet.settings import ProducerSettings


class Installed:
    """What `install` left on an application, as ``app.taskfleet``."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self.defaults = Defaults(app)
        self._settings: ProducerSettings | None = None
        self._releases: Releases | None = None
        self._publisher = PerProcess(self._make_publisher)
        self._asynchronous = PerProcess(partial(AsyncPublisher, app))
        self.producer = FleetProducer(app, self._publisher.get)

    @property
    def settings(self) -> ProducerSettings:
        """The process's settings; read when first asked for. Raises `taskfleet.errors.SettingsError`."""
        if self._settings is None:
            self._settings = settings.ProducerSettings.from_environ()
        return self._settings

    @property
    def publisher(self) -> Publisher:
        """What this process publishes with."""
        return self._publisher.get()

    @property
    def asynchronous(self) -> AsyncPublisher:
        """What this process publishes with from event loops."""
        return self._asynchronous.get()

    def bind(self, known: ProducerSettings) -> None:
        """Say who this process is, instead of reading it from the environment; before it publishes."""
        self._forget()
        self._settings = known

    def unbind(self) -> None:
        """Forget who this process was: after a test of the team's own (`taskfleet.testing`)."""
        self._forget()

    def _forget(self) -> None:
        if self._publisher.made is not None:
            self._publisher.made.end_lease()
        self._settings = self._releases = None
        self._publisher.after_fork()

    @property
    def releases(self) -> Releases:
        """What is known of releases. Kept over a fork: a worker's children start with it."""
        if self._releases is None:
            known = self.settings
            self._releases = Releases(known.environment, bound=known.bound_release is not None)
        return self._releases

    def _make_publisher(self) -> Publisher:
        known = self.settings
        enforced.check(self._app, known)
        credentials.shared().begin()  # beside the pointer, which is read first
        connect = partial(connections.primary_publishing, known)
        return Publisher(
            bound_release=known.bound_release,
            releases=self.releases,
            primary=Primary(connect),
            # A breaker of its own: while no replica answers, Redis itself is well.
            confirmed=Primary(connect, replicas=CONFIRMING_REPLICAS),
            fallback=Fallback(known.environment),
            scheduling=Scheduling(known.environment, known.binding),
            lease=self._lease(known) if known.leases else None,
            patience_seconds=known.publish_patience_seconds,
            warning_bytes=known.payload_warning_bytes,
            most_members=chains.most_members(self._app.conf),
        )

    def _lease(self, known: ProducerSettings) -> ProducerLease:
        store = Leases(partial(aws.client, "dynamodb", aws.PROMPT), known.environment)
        who = Who.here(self._app.main)
        return ProducerLease(who, store, self.releases, bound_release=known.bound_release)


def install(app: Celery) -> Celery:
    """Harden ``app`` and return it. A second call changes nothing.

    From then on every publish goes to the current release's queue, bounded in time: Redis first, then
    SQS, then `taskfleet.errors.PublishError`. Tasks are JSON, acknowledged late, and given back when
    their worker dies. What the application says itself wins; the few settings where it may not are an
    error at the first publish and at a worker's start (``docs/configuration.md``).
    """
    if getattr(app, "taskfleet", None) is not None:
        return app
    installed = app.taskfleet = Installed(app)
    before = dict(app.conf.items()) if app.configured else {}
    installed.defaults.add(config.defaults())
    hardening.watch(app, before)

    stock = app.producer_or_acquire

    def producer_or_acquire(producer: Any = None) -> AbstractContextManager[Any]:
        return stock(producer) if in_memory.used(app) else contextlib.nullcontext(installed.producer)

    app.producer_or_acquire = app.default_producer = producer_or_acquire
    canvas.send_groups_together()
    awaitable.add_methods()
    results.harden(app)
    control.install(app)
    _register_gates(app)
    return app


def _register_gates(app: Celery) -> None:
    @app.task(name=GATE_TASK, shared=False, max_retries=3)  # type: ignore[untyped-decorator]
    def gate(versioned_queue: str) -> None:
        from taskfleet.worker.gate import prove

        prove(app, versioned_queue)

    @app.task(name=GATE_CHECK_TASK, shared=False, bind=True, max_retries=3)  # type: ignore[untyped-decorator]
    def gate_check(self: Any, task: str, registered: str) -> None:
        from taskfleet.worker.gate import check

        try:
            check(app, task, registered, self.request.id)
        except (BotoCoreError, ClientError) as error:
            raise self.retry(exc=error) from error
