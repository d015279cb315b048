"""`fleet adopt` on applications as teams have them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from celery import Celery
from kombu import Queue
from taskfleet.adopting import propose
from taskfleet.contract import names

from infra.settings import Execution, Limits, Pool

OLD = """
from celery import Celery

app = Celery("old", broker="redis://old")
app.conf.task_default_queue = "celery"
app.conf.task_routes = {"old.mail": {"queue": "Mail.Fast"}, "old.report": "reports"}
app.conf.worker_concurrency = 8
app.conf.task_soft_time_limit = 100
app.conf.task_time_limit = 120


@app.task(name="old.mail")
def mail():
    pass
"""


def adopt(place: Path, *options: str) -> subprocess.CompletedProcess[str]:
    (place / "old.py").write_text(OLD)
    return subprocess.run(
        [str(Path(sys.executable).with_name("fleet")), *options, "adopt", "old:app"],
        cwd=place,
        env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_proposed_is_a_pool_that_the_settings_take(tmp_path: Path) -> None:
    found = json.loads(adopt(tmp_path, "--json").stdout)
    known = {"Pool": Pool, "Limits": Limits, "Execution": Execution}

    exec(found["settings"], known)  # noqa: S102 - it is what a person would paste
    pool = known["WORK"]
    assert isinstance(pool, Pool)
    assert (pool.queues, pool.concurrency) == (("mail_fast", "reports", "celery"), 8)
    assert (pool.limits.soft_time_limit_seconds, pool.limits.time_limit_seconds) == (100, 120)
    assert (known["APP"], known["DEFAULT_QUEUE"]) == ("old:app", "celery")


def test_what_conflicts_is_said_with_its_reason(tmp_path: Path) -> None:
    done = adopt(tmp_path)

    assert done.returncode == 1
    assert (
        "conflict       queue 'Mail.Fast': no name for a queue of the fleet; call it 'mail_fast'"
        in done.stdout
    )
    assert "no effect      broker_url" in done.stdout


@pytest.mark.parametrize("queue", ["Mail.Fast", "1st", "dead", "a-" * 30, "Ä", "-"])
def test_a_name_that_no_queue_may_have_is_replaced_by_one_that_it_may(queue: str) -> None:
    app = Celery("it", set_as_current=False)
    app.conf.task_queues = [Queue(queue)]

    (ours, _) = propose(app).queues.values()

    assert names.check("queue", ours) == ours != queue


@pytest.mark.parametrize(
    ("changes", "queues"),
    [
        ({}, ["celery"]),
        ({"task_queues": [Queue("a"), Queue("b")]}, ["a", "b", "celery"]),
        ({"task_routes": ({"x.*": {"queue": "a"}}, ("y", {"queue": "b"}))}, ["a", "b", "celery"]),
        ({"beat_schedule": {"n": {"task": "x", "schedule": 1, "options": {"queue": "a"}}}}, ["a", "celery"]),
    ],
)
def test_queues_are_found_where_they_are_named(changes: dict[str, object], queues: list[str]) -> None:
    app = Celery("it", set_as_current=False)
    app.conf.update(changes)

    assert list(propose(app).queues) == queues


def test_what_can_not_be_read_is_a_conflict() -> None:
    app = Celery("it", set_as_current=False)
    app.conf.task_routes = [lambda *_: None]
    app.conf.worker_pool = "eventlet"

    found = "\n".join(propose(app).conflicts)

    assert "task_routes has a function" in found
    assert "worker_pool = 'eventlet': one of prefork, threads, gevent" in found
