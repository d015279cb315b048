"""A team's own tests of its tasks work as on stock Celery, without our variables (`docs/testing.md`)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chain, chord
from celery.contrib.testing.worker import start_worker
from taskfleet import in_memory, install
from taskfleet.contract.environment import ENVIRONMENT
from taskfleet.errors import SettingsError

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Celery:
    monkeypatch.delenv(ENVIRONMENT.name, raising=False)
    made = install(Celery("shop", set_as_current=False))

    @made.task(name="shop.add", shared=False)
    def add(x: int, y: int) -> int:
        return x + y

    @made.task(name="shop.total", shared=False)
    def total(each: list[int]) -> int:
        return sum(each)

    @made.task(name="shop.twice", shared=False, bind=True)
    def twice(self: Any) -> int:
        if not self.request.retries:
            raise self.retry(countdown=0)
        return int(self.request.retries)

    return made


def test_a_task_is_applied_in_place(app: Celery) -> None:
    assert app.tasks["shop.add"].apply((1, 2)).get() == 3
    assert app.tasks["shop.twice"].apply().get() == 1


def test_eager_tasks_and_their_canvas_run_at_once(app: Celery) -> None:
    app.conf.task_always_eager = True
    add, total = app.tasks["shop.add"], app.tasks["shop.total"]
    assert add.delay(1, 2).get() == 3
    assert chord([add.s(1, 1), add.s(2, 2)])(total.s()).get() == 6


def test_a_worker_in_the_test_consumes_from_memory(app: Celery) -> None:
    app.conf.update(broker_url="memory://", result_backend="cache+memory://")
    add, total = app.tasks["shop.add"], app.tasks["shop.total"]
    with start_worker(app, perform_ping_check=False, pool="threads", concurrency=2):
        assert chain(add.s(1, 2), add.s(3))().get(timeout=30) == 6
        assert chord([add.s(1, 1), add.s(2, 2)])(total.s()).get(timeout=30) == 6
        assert app.tasks["shop.twice"].delay().get(timeout=30) == 1
        assert add.apply_async((1, 2), countdown=0.2).get(timeout=30) == 3
        assert app.control.inspect(timeout=5).ping()


def test_in_a_fleet_a_broker_in_memory_is_not_used(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    app.conf.broker_url = "memory://"
    assert in_memory.used(app)
    monkeypatch.setenv(ENVIRONMENT.name, "prod")
    assert not in_memory.used(app)
    with pytest.raises(SettingsError, match="TASKFLEET_BROKER_HOST is missing"):
        app.tasks["shop.add"].delay(1, 2)


def test_the_recipe_works(tmp_path: Path) -> None:
    for name, code in re.findall(r"`(\w+\.py)`:\n\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        (tmp_path / name).write_text(code)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "shop.py",
        "test_on_brokers.py",
        "test_shop.py",
    ]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:ddtrace",
        "-p",
        "no:cacheprovider",
        "test_shop.py",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env={})
    assert "3 passed" in done.stdout, done.stdout + done.stderr
