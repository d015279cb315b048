"""A setting that the fleet's promises rest on is an error with its name, its value and the way out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from taskfleet import config, enforced, install
from taskfleet.contract import environment as env
from taskfleet.errors import EX_CONFIG, SettingsError
from taskfleet.settings import BeatSettings, ProducerSettings, WorkerSettings

from tests.support.tiny_fleet import TinyFleet
from tests.taskfleet.test_settings import GOOD

REPOSITORY = Path(__file__).parents[2]
FALLBACK = {"TASKFLEET_BROKER": "fallback"}

REFUSED: list[tuple[str, Any, dict[str, str]]] = [
    ("task_serializer", "pickle", {}),
    ("accept_content", ["json", "pickle"], {}),
    ("accept_content", [], {}),
    ("result_serializer", "yaml", {}),
    ("result_accept_content", ["msgpack"], {}),
    ("task_acks_late", False, {}),
    ("task_reject_on_worker_lost", False, {}),
    ("task_send_sent_event", True, {}),
    ("worker_prefetch_multiplier", 0, {}),
    ("worker_max_memory_per_child", 500_000, {}),
    ("worker_cancel_long_running_tasks_on_connection_loss", True, {}),
    ("worker_cancel_long_running_tasks_on_connection_loss", False, FALLBACK),
    ("worker_consumer", "celery.worker.consumer:Consumer", {}),
    ("beat_max_loop_interval", 300, {}),
]
ALLOWED: list[tuple[str, Any]] = [
    ("task_serializer", "application/json"),
    ("accept_content", {"application/json"}),
    ("accept_content", ("json",)),
    ("result_accept_content", None),
    ("task_acks_late", True),
    ("worker_prefetch_multiplier", 4),
    ("worker_max_memory_per_child", 200_000),
    ("task_time_limit", 3600),
    ("timezone", "Europe/Berlin"),
]


def problems(said: dict[str, Any], environment: dict[str, str]) -> str:
    """What a worker and beat say of an application with these settings."""
    app, found = install(Celery(set_as_current=False)), []
    app.config_from_object(said)
    worker = WorkerSettings.from_environ(GOOD | environment)
    app.taskfleet.defaults.add(config.worker_defaults(worker) | config.beat_defaults())
    for role, settings in (("worker", worker), ("beat", BeatSettings.from_environ(GOOD))):
        try:
            enforced.check(app, settings, role=role)
        except SettingsError as error:
            found.append(str(error))
    return "\n".join(found)


@pytest.mark.parametrize(("setting", "value", "environment"), REFUSED)
def test_a_value_that_is_not_allowed_is_named(setting: str, value: Any, environment: dict[str, str]) -> None:
    found = problems({setting: value}, environment)

    assert f"{setting} = {value!r}: allowed is " in found
    assert "Fix: " in found


@pytest.mark.parametrize(("setting", "value"), ALLOWED)
def test_other_values_are_the_teams(setting: str, value: Any) -> None:
    assert problems({setting: value}, {}) == ""


def test_the_fleets_own_values_are_allowed() -> None:
    assert problems({}, {}) == problems({}, FALLBACK) == ""


def test_each_enforced_setting_is_tried_here() -> None:
    assert {setting for setting, *_ in REFUSED} == {each.setting for each in enforced.TABLE}


def test_nothing_is_published_with_a_setting_that_is_not_allowed() -> None:
    app = install(Celery(set_as_current=False))
    app.config_from_object({"task_serializer": "pickle"})
    app.taskfleet.bind(ProducerSettings(environment="none", broker_host="localhost", broker_port=1))

    with pytest.raises(SettingsError, match="task_serializer = 'pickle'"):
        app.send_task("anything")


def test_a_worker_and_beat_that_can_not_be_right_say_so_and_exit(fleet: TinyFleet) -> None:
    app = {env.APP.name: "tests.taskfleet.misconfigured:app"}
    for role in ("worker", "beat"):
        done = subprocess.run(
            [sys.executable, "-m", "taskfleet", role],
            env=fleet.worker_environment("r1", **app),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert done.returncode == EX_CONFIG
        assert "task_acks_late = False: allowed is True" in done.stderr
        assert "Traceback" not in done.stderr


def test_what_has_no_effect_is_named() -> None:
    app = install(Celery(set_as_current=False, broker="redis://old"))
    app.conf.worker_concurrency = 8

    assert enforced.without_effect(app) == ["broker_url", "worker_concurrency"]
    assert enforced.without_effect(install(Celery(set_as_current=False))) == []


def test_the_page_has_the_tables_as_they_are() -> None:
    page = (REPOSITORY / "docs/configuration.md").read_text()

    assert enforced.tables() in page, "python -m taskfleet.enforced prints them anew"
    on_the_page = set(re.findall(r"^\| `(\w+)` \|", page.partition("## Defaults")[2], re.MULTILINE))
    defaults = (
        config.defaults() | config.beat_defaults() | config.worker_defaults(WorkerSettings.from_environ(GOOD))
    )
    assert on_the_page == set(defaults), "each default is on the page, and no other"
