"""What an application configures wins over the fleet's defaults, whichever way and whenever it does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from taskfleet import config, install

SAID = {"timezone": "Europe/Berlin", "task_ignore_result": False, "task_time_limit": 77, "result_expires": 5}
UPPER = {f"CELERY_{key.upper()}": value for key, value in SAID.items()}
# Celery's names before 4.0.
OLD = {
    "CELERY_TIMEZONE": "Europe/Berlin",
    "CELERY_IGNORE_RESULT": False,
    "CELERYD_TASK_TIME_LIMIT": 77,
    "CELERY_TASK_RESULT_EXPIRES": 5,
}


def _module(app: Celery) -> None:
    app.config_from_object("own_celeryconfig")


def _module_class(app: Celery) -> None:
    app.config_from_object("own_celeryconfig:Config")


def _namespace(app: Celery) -> None:
    app.config_from_object("own_celeryconfig:Upper", namespace="CELERY")


def _forced(app: Celery) -> None:
    app.config_from_object("own_celeryconfig", force=True)


def _object(app: Celery) -> None:
    app.config_from_object(SimpleNamespace(**SAID))


def _mapping(app: Celery) -> None:
    app.config_from_object(SAID)


def _old_names(app: Celery) -> None:
    app.config_from_object(OLD)


def _environment(app: Celery) -> None:
    app.config_from_envvar("OWN_CONFIG_MODULE")


def _update(app: Celery) -> None:
    app.conf.update(SAID)


def _attributes(app: Celery) -> None:
    for key, value in SAID.items():
        setattr(app.conf, key, value)


def _add_defaults(app: Celery) -> None:
    app.add_defaults(SAID)


def _lazy_defaults(app: Celery) -> None:
    app.add_defaults(lambda: SAID)


def _signal(app: Celery) -> None:
    def configure(sender: Celery, **_: Any) -> None:
        sender.conf.update(SAID)

    app.on_after_configure.connect(configure, weak=False)
    if app.configured:
        configure(app)


WAYS = [
    _module,
    _module_class,
    _namespace,
    _forced,
    _object,
    _mapping,
    _old_names,
    _environment,
    _update,
    _attributes,
    _add_defaults,
    _lazy_defaults,
    _signal,
]


@pytest.fixture(autouse=True)
def _own_celeryconfig(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("own_celeryconfig")
    module.__dict__.update(SAID)
    module.Config = type("Config", (), SAID)
    module.Upper = type("Upper", (), UPPER)
    monkeypatch.setitem(sys.modules, "own_celeryconfig", module)
    monkeypatch.setenv("OWN_CONFIG_MODULE", "own_celeryconfig")


def _before(configure: Callable[[Celery], None]) -> Celery:
    app = Celery(set_as_current=False)
    configure(app)
    return install(app)


def _after(configure: Callable[[Celery], None]) -> Celery:
    app = install(Celery(set_as_current=False))
    configure(app)
    return app


def _before_and_read(configure: Callable[[Celery], None]) -> Celery:
    app = Celery(set_as_current=False)
    configure(app)
    assert app.conf.timezone == "Europe/Berlin"
    return install(app)


def _after_reading(configure: Callable[[Celery], None]) -> Celery:
    app = install(Celery(set_as_current=False))
    assert app.conf.task_acks_late
    configure(app)
    return app


@pytest.mark.parametrize("when", [_before, _after, _before_and_read, _after_reading])
@pytest.mark.parametrize("way", WAYS)
def test_what_the_application_says_wins(
    way: Callable[[Celery], None], when: Callable[[Callable[[Celery], None]], Celery]
) -> None:
    app = when(way)
    app.taskfleet.defaults.add({"task_time_limit": 330, "task_soft_time_limit": 300})  # as a worker does

    assert {key: app.conf[key] for key in SAID} == SAID
    assert str(app.timezone) == "Europe/Berlin"
    assert app.conf.task_acks_late, "a default of the fleet that nobody contradicts"
    assert app.conf.task_soft_time_limit == 300
    assert app.conf.redis_socket_timeout == config.defaults()["redis_socket_timeout"]


def test_arguments_of_the_application_win() -> None:
    app = install(Celery(set_as_current=False, task_ignore_result=False, changes={"result_expires": 5}))

    assert app.conf.task_ignore_result is False
    assert app.conf.result_expires == 5


def test_receivers_of_the_application_see_the_defaults() -> None:
    app, seen = Celery(set_as_current=False), []

    @app.on_after_configure.connect
    def look(sender: Celery, **_: Any) -> None:
        seen.append(sender.conf.task_acks_late)

    assert install(app).conf
    assert app.conf.timezone is None
    assert seen == [True]


def test_two_applications_do_not_share_defaults() -> None:
    install(Celery(set_as_current=False)).conf.task_acks_late  # noqa: B018 - reads the configuration

    assert Celery(set_as_current=False).conf.task_acks_late is False
