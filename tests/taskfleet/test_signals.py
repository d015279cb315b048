"""Each of Celery's signals is sent as in stock: the same program on a stock worker and on the fleet's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from taskfleet.contract import container
from taskfleet.contract import environment as env

from drills.tasks import journal
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.support.valkey import Valkey
from tests.taskfleet.signalling import NAMES, STOCK

APP = "tests.taskfleet.signalling:app"
TASKS = ("good", "bad", "again", "expired", "parent")
PROGRAM = f"""
from tests.taskfleet.signalling import app
for name in {TASKS!r}:
    app.tasks["signalling." + name].delay()
app.send_task("nobody.knows")
"""
NO_TASK = json.dumps(
    {
        "body": "W10=",
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {},
        "properties": {
            "delivery_mode": 2,
            "delivery_tag": "t",
            "delivery_info": {"exchange": "", "routing_key": "low"},
            "body_encoding": "base64",
        },
    }
)
# Signals of other pools, of beat and of events, and one that Celery replaced.
ELSEWHERE = {
    "beat_init",
    "beat_embedded_init",
    "eventlet_pool_started",
    "eventlet_pool_preshutdown",
    "eventlet_pool_postshutdown",
    "eventlet_pool_apply",
    "task_internal_error",
    "task_sent",
}
# Not in stock for a failure in the worker's main process, or only by its time: the sets are compared.
Heard = tuple[str, str | None, tuple[str, ...]]


def heard(place: Path) -> Counter[Heard]:
    """What the processes of a run heard."""
    lines = [line for line in journal.read(place) if line["event"] == "signal"]
    return Counter((line["name"], line["task"], tuple(line["arguments"])) for line in lines)


def names(heard: Counter[Heard]) -> set[str]:
    """The signals alone."""
    return {name for name, *_ in heard}


def complete(place: Path) -> bool:
    """Whether everything has come to its end."""
    got = heard(place)
    ended = sum(count for (name, *_), count in got.items() if name in ("task_postrun", "task_revoked"))
    return ended >= 7 and {"task_unknown", "task_rejected", "heartbeat_sent"} <= names(got)


def stock(directory: Path, valkey: Valkey) -> Counter[Heard]:
    """The program on a stock worker."""
    place = directory / "stock"
    place.mkdir()
    environment = {
        **os.environ,
        STOCK: "1",
        "CELERY_BROKER_URL": valkey.url.replace("/0", "/5"),
        container.JOURNAL: str(place),
    }
    command = [sys.executable, "-m", "celery", "--quiet", "-A", APP, "worker", "--concurrency=2"]
    with (place / "log").open("wb") as log:
        worker = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True, cwd=Path.cwd()
        )
    try:
        wait_for(lambda: "worker_ready" in names(heard(place)), seconds=60, what="the stock worker")
        subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True, cwd=Path.cwd())
        client = valkey.client()
        client.select(5)
        client.lpush("celery", NO_TASK)
        wait_for(lambda: complete(place), seconds=60, what="the program on stock")
        worker.terminate()
        worker.wait(30)
    finally:
        worker.kill()
    return heard(place)


def on_fleet(fleet: TinyFleet) -> Counter[Heard]:
    """The same on a worker of the fleet."""
    environment = {env.APP.name: APP, "PYTHONPATH": str(Path.cwd())}
    worker = fleet.start_worker("r1", **environment)
    subprocess.run(
        [sys.executable, "-c", PROGRAM], env=fleet.environment(**environment), check=True, cwd=Path.cwd()
    )
    fleet.valkey.client().lpush("low.r1", NO_TASK)
    wait_for(lambda: complete(fleet.journal), seconds=60, what="the program on the fleet")
    worker.terminate()
    worker.wait(30)
    return heard(fleet.journal)


def about_tasks(got: Counter[Heard]) -> dict[Any, int]:
    """How often each signal about a task of the program was sent."""
    return {
        (name, task): count
        for (name, task, _), count in got.items()
        if name.startswith("task_") or name.endswith("_publish")
    }


def test_each_signal_is_sent_as_in_stock(fleet: TinyFleet, tmp_path: Path, valkey: Valkey) -> None:
    expected, got = stock(tmp_path, valkey), on_fleet(fleet)

    assert names(expected) >= set(NAMES) - ELSEWHERE, "the program makes stock send each of them"
    assert names(got) == names(expected)
    assert about_tasks(got) == about_tasks(expected)
    assert {(name, arguments) for name, _, arguments in got} == {
        (name, arguments) for name, _, arguments in expected
    }, "with the same arguments"
