"""Every task is hardened, whatever its class and whenever it is registered; the team's own words win."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, Task, shared_task
from celery.exceptions import Retry
from taskfleet import hardening, install
from taskfleet.errors import PointerUnknown, PublishError
from taskfleet.worker.task import DEFAULT_EXPIRES_SECONDS, FleetBehaviour


def nothing(*_: Any) -> None:
    """What the tasks do."""


class OwnTask(Task):  # type: ignore[misc]
    """A base class of the team's."""

    own = "kept"


class SlowTask(Task):  # type: ignore[misc]
    """One with words of its own."""

    default_retry_delay = 10
    max_retries = 2
    expires = 60
    acks_late = False


def _app(**options: Any) -> Celery:
    return Celery(set_as_current=False, **options)


def _plain() -> tuple[Celery, Any]:
    app = install(_app())
    return app, app.task(name="it", shared=False)(nothing)


def _django() -> tuple[Celery, Any]:
    app = _app()
    app.task_cls = "tests.taskfleet.test_hardening:OwnTask"  # as Celery's Django fix-up does
    install(app)
    return app, app.task(name="it", shared=False)(nothing)


def _task_cls() -> tuple[Celery, Any]:
    app = install(_app(task_cls=OwnTask))
    return app, app.task(name="it", shared=False)(nothing)


def _base() -> tuple[Celery, Any]:
    app = install(_app())
    return app, app.task(name="it", shared=False, base=OwnTask)(nothing)


def _subclass_of_app_task() -> tuple[Celery, Any]:
    app = _app()
    base = type("Base", (app.Task,), {"own": "kept", "abstract": True})
    install(app)
    return app, app.task(name="it", shared=False, base=base)(nothing)


def _registered_class() -> tuple[Celery, Any]:
    app = install(_app())
    task = type("It", (OwnTask,), {"name": "it", "run": nothing})()
    return app, app.register_task(task)


def _finalized_before() -> tuple[Celery, Any]:
    app = _app()
    task = app.task(name="it", shared=False)(nothing)
    app.finalize()
    assert app.tasks["it"].acks_late is False
    return install(app), task


def _used_before() -> tuple[Celery, Any]:
    app = _app()
    task = app.task(name="it", shared=False)(nothing)
    assert task.name == "it"  # evaluates it, and nothing else
    return install(app), task


def _pending_before() -> tuple[Celery, Any]:
    app = _app()
    task = app.task(name="it", shared=False)(nothing)
    return install(app), task


def _late() -> tuple[Celery, Any]:
    app = install(_app())
    app.finalize()
    return app, app.task(name="it", shared=False)(nothing)


def _shared_before() -> tuple[Celery, Any]:
    shared_task(name="shared.before")(nothing)
    app = install(_app())
    return app, app.tasks["shared.before"]


def _shared_after() -> tuple[Celery, Any]:
    app = install(_app())
    app.finalize()
    shared_task(name="shared.after")(nothing)
    return app, app.tasks["shared.after"]


def _shared_finalized() -> tuple[Celery, Any]:
    shared_task(name="shared.finalized")(nothing)
    app = _app()
    app.finalize()
    return install(app), app.tasks["shared.finalized"]


WAYS = [
    _plain,
    _django,
    _task_cls,
    _base,
    _subclass_of_app_task,
    _registered_class,
    _finalized_before,
    _used_before,
    _pending_before,
    _late,
    _shared_before,
    _shared_after,
    _shared_finalized,
]


@pytest.mark.parametrize("way", WAYS)
def test_a_task_is_hardened(way: Callable[[], tuple[Celery, Any]]) -> None:
    app, task = way()
    task = app.tasks[task.name]

    assert FleetBehaviour in type(task).__mro__
    assert (task.max_retries, task.expires) == (5, DEFAULT_EXPIRES_SECONDS)
    assert (task.acks_late, task.reject_on_worker_lost, task.retry_on_worker_lost) == (True, True, True)
    assert countdown(task) < 2.5, "the first retry backs off from two seconds"
    # Celery gives an application the shared tasks of every other that this process has imported.
    assert task.name not in dict(hardening.lacking(app))
    if way in (_django, _task_cls, _base, _subclass_of_app_task, _registered_class):
        assert task.own == "kept"


def test_each_of_two_applications_hardens_its_own() -> None:
    shared_task(name="shared.both")(nothing)
    one, two, stock = install(_app()), install(_app()), _app()

    assert isinstance(one.tasks["shared.both"], FleetBehaviour)
    assert FleetBehaviour in type(two.tasks["shared.both"]).__mro__
    assert two.tasks["shared.both"].app is two
    assert not isinstance(stock.tasks["shared.both"], FleetBehaviour)


def countdown(task: Any, **retry: Any) -> float:
    """Seconds until the retry that the task asks for now."""
    delays: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task, "signature_from_request", _into(delays))
        task.push_request(called_directly=False, id="t", args=(), kwargs={})
        try:
            task.retry(throw=False, **retry)
        finally:
            task.pop_request()
    return delays[0]


def _into(delays: list[float]) -> Any:
    def signature_from_request(*_: Any, **said: Any) -> Any:
        delays.append(said["countdown"])
        return SimpleNamespace(apply_async=nothing)

    return signature_from_request


@pytest.mark.parametrize(
    ("options", "waits"),
    [
        ({"default_retry_delay": 10}, 10),
        ({"default_retry_delay": 180}, 180),  # Celery's own default, said
        ({"default_retry_delay": 5}, 5),  # ours, said
        ({"base": SlowTask}, 10),
    ],
)
def test_the_teams_delay_wins(options: dict[str, Any], waits: float) -> None:
    app = install(_app())

    assert countdown(app.task(name="it", shared=False, **options)(nothing)) == waits


def test_a_delay_on_an_application_wide_class_wins() -> None:
    app = install(_app(task_cls=SlowTask))
    task = app.task(name="it", shared=False)(nothing)

    assert countdown(task) == 10
    assert (task.max_retries, task.expires, task.acks_late) == (2, 60, False)


def test_a_delay_by_annotation_or_at_run_time_wins() -> None:
    app = install(_app())
    app.conf.task_annotations = {"it": {"default_retry_delay": 30}, "*": {"max_retries": 9}}
    task = app.task(name="it", shared=False)(nothing)

    assert (countdown(task), task.max_retries) == (30, 9)
    task.default_retry_delay = 40
    assert countdown(task) == 40
    assert countdown(task, countdown=1) == 1


@pytest.mark.parametrize(
    ("options", "least", "most"),
    [
        ({}, 1, 2),  # `backoff`
        ({"default_retry_delay": 10}, 10, 10),
        ({"retry_kwargs": {"countdown": 20}}, 20, 20),
        ({"retry_backoff": 100, "retry_jitter": False}, 100, 100),
        ({"retry_backoff": 100, "retry_jitter": False, "retry_backoff_max": 50}, 50, 50),
    ],
)
def test_an_automatic_retry_waits_as_its_task_says(
    options: dict[str, Any], least: float, most: float
) -> None:
    app, delays = install(_app()), list[float]()

    @app.task(name="it", bind=True, shared=False, autoretry_for=(KeyError,), **options)  # type: ignore[untyped-decorator]
    def it(self: Any) -> None:
        raise KeyError

    it.signature_from_request = _into(delays)
    it.push_request(called_directly=False, id="t", args=(), kwargs={})
    with pytest.raises(Retry):
        it.run()

    assert least <= delays[0] <= most


def test_what_is_not_protected_is_named() -> None:
    app = install(_app())
    app.task(name="early", shared=False, acks_late=False)(nothing)
    app.task(name="lost", shared=False, reject_on_worker_lost=False)(nothing)

    for error in (TypeError, KeyError):
        refuses = type("Frozen", (Frozen,), {"error": error})
        app.register_task(refuses(error.__name__, (FrozenBase,), {"name": f"frozen by a {error.__name__}"})())

    reasons = dict(hardening.lacking(app))
    assert "it is lost with its worker" in reasons["early"]
    assert "if its process is killed" in reasons["lost"]
    assert "can't be extended" in reasons["frozen by a TypeError"]
    assert "can't be extended" in reasons["frozen by a KeyError"]
    assert reasons.keys() >= {"early", "lost"}
    assert "celery.chord" not in reasons


class Frozen(type):
    """Refuses classes that inherit from two."""

    error: type[Exception]

    def __new__(cls, name: str, bases: tuple[type, ...], space: dict[str, Any]) -> Frozen:
        """Raise for more than one base."""
        if len(bases) > 1:
            raise cls.error("one base only")
        return super().__new__(cls, name, bases, space)


class FrozenBase(Task):  # type: ignore[misc]
    """For `Frozen`."""

    def run(self) -> None:
        """Nothing."""


@pytest.mark.parametrize(
    ("task", "conf", "again"),
    [
        ({}, {}, True),
        ({"acks_late": False}, {}, False),
        ({"acks_late": False, "retry_on_worker_lost": True}, {}, True),
        ({"acks_late": False}, {"task_retry_on_worker_lost": True}, True),
        ({"acks_late": False}, {"task_annotations": {"early": {"retry_on_worker_lost": True}}}, True),
        ({}, {"task_annotations": {"early": {"acks_late": False}}}, False),
        ({"retry_on_worker_lost": False}, {}, False),
    ],
)
def test_a_task_that_is_acknowledged_early_is_not_sent_again_by_a_default_of_ours(
    task: dict[str, bool], conf: dict[str, Any], again: bool
) -> None:
    app = _app()
    app.conf.update(conf)
    install(app).task(name="early", shared=False, **task)(nothing)

    assert app.tasks["early"].retry_on_worker_lost is again


@pytest.mark.parametrize("ours", [PublishError, PointerUnknown])
def test_code_that_catches_celerys_error_of_a_publish_catches_ours(ours: type[Exception]) -> None:
    app = install(_app())
    app.task(name="any", shared=False)(nothing)

    assert issubclass(ours, app.tasks["any"].OperationalError)
