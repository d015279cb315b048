"""A Django project: `shared_task`, `CELERY_` settings, `delay_on_commit`, its schedule and results in SQL."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from taskfleet.contract import environment as env

from tests.projects.conftest import Shell
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet

PROJECT = Path(__file__).parent / "django_shop"
SETUP = "import django, shop.celery; django.setup()\n"
MIGRATE = """
from django.core.management import call_command
from django.db import connection
from orders.models import Order
call_command("migrate", verbosity=0)
with connection.schema_editor() as editor:
    editor.create_model(Order)
"""
ORDER = """
import json
from django.db import transaction
from orders import tasks
from orders.models import Order

with transaction.atomic():
    order = Order.objects.create(name="tea")
    tasks.confirm.delay_on_commit(order.pk)
charged = tasks.charge.delay(order.pk)
print(json.dumps([type(tasks.confirm).__name__, charged.get(timeout=60)]))
"""
PERIODIC = """
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from orders.models import Order
Order.objects.create(name="periodic")
every, _ = IntervalSchedule.objects.get_or_create(every=1, period=IntervalSchedule.SECONDS)
PeriodicTask.objects.create(interval=every, name="remind", task="orders.tasks.remind")
"""
CONFIGURATION = """
import json
from shop.celery import app
print(json.dumps([str(app.timezone), app.conf.task_ignore_result, app.conf.task_default_queue,
                  app.conf.task_time_limit, app.conf.task_acks_late]))
"""


class Shop:
    """The project with a database of its own."""

    def __init__(self, fleet: TinyFleet, shell: Callable[[Path, dict[str, str]], Shell]) -> None:
        self.database = fleet.directory / "shop.sqlite3"
        self.environment = {
            "SHOP_DATABASE": str(self.database),
            "PYTHONPATH": str(PROJECT),
            env.APP.name: "shop.celery:app",
        }
        of_shell = {name: value for name, value in self.environment.items() if name != "PYTHONPATH"}
        self._run = shell(PROJECT, of_shell)
        self.run(MIGRATE)

    def run(self, code: str) -> str:
        """What the code prints."""
        return self._run(SETUP + code)

    def one(self, query: str) -> Any:
        """The first row."""
        connection = sqlite3.connect(self.database, timeout=20)
        try:
            return connection.execute(query).fetchone()
        finally:
            connection.close()


@pytest.fixture
def shop(fleet: TinyFleet, shell: Callable[[Path, dict[str, str]], Shell]) -> Shop:
    return Shop(fleet, shell)


def test_a_django_project_runs_unchanged(fleet: TinyFleet, shop: Shop) -> None:
    fleet.start_worker("r1", **shop.environment)

    _proxy, charged = json.loads(shop.run(ORDER))

    assert charged == {"charged": 1}
    wait_for(lambda: shop.one("select confirmed from orders_order")[0] == 1, what="the order confirmed")
    assert shop.one("select tries from orders_order")[0] == 2, "its base class still counts"
    stored = "select count(*) from django_celery_results_taskresult where status = 'SUCCESS'"
    wait_for(lambda: shop.one(stored)[0] == 2, what="both results in the database")
    assert json.loads(shop.run(CONFIGURATION)) == ["Europe/Berlin", False, "low", 1800, True]


def test_its_schedule_in_the_database_fires_and_outlives_beat(fleet: TinyFleet, shop: Shop) -> None:
    shop.run(PERIODIC)
    fleet.start_worker("r1", **shop.environment)
    beat = fleet.start("beat", fleet.environment(**shop.environment), "beat: Starting")
    ran = "select confirmed from orders_order where name = 'periodic'"
    wait_for(lambda: shop.one(ran)[0] >= 2, seconds=60, what="the entry fired twice")
    assert fleet.health(beat) == 0

    beat.terminate()
    assert beat.wait(20) == 0

    count, last = shop.one(
        "select total_run_count, last_run_at from django_celery_beat_periodictask where name = 'remind'"
    )
    assert count >= 2, "what it fired is remembered where the next beat reads it"
    assert last is not None
