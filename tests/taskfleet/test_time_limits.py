"""A time limit of the team's comes when it should, though the other one is the fleet's."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from taskfleet import install
from taskfleet.worker.time_limits import effective

OURS = {"task_soft_time_limit": 300, "task_time_limit": 330}
NONE = (None, None)


def nothing() -> None:
    """What the task does."""


@pytest.mark.parametrize(
    ("task", "conf", "message", "hard", "soft"),
    [
        ({}, {}, NONE, 330, 300),
        ({"time_limit": 3}, {}, NONE, 3, 3),
        ({"time_limit": 320}, {}, NONE, 320, 300),
        ({}, {"task_time_limit": 3}, NONE, 3, 3),
        ({}, {"task_annotations": {"it": {"time_limit": 3}}}, NONE, 3, 3),
        ({}, {}, (3, None), 3, 3),
        ({"soft_time_limit": 400}, {}, NONE, 430, 400),
        ({}, {"task_soft_time_limit": 400}, NONE, 430, 400),
        ({}, {}, (None, 400), 430, 400),
        ({"soft_time_limit": 2}, {}, NONE, 330, 2),
        # What the team says twice is its own.
        ({"time_limit": 3, "soft_time_limit": 300}, {"task_soft_time_limit": 300}, NONE, 3, 300),
        ({"time_limit": 20, "soft_time_limit": 10}, {}, NONE, 20, 10),
        ({"time_limit": 330}, {"task_time_limit": 330, "task_soft_time_limit": 400}, NONE, 330, 400),
    ],
)
def test_the_teams_limit_holds(
    task: dict[str, Any], conf: dict[str, Any], message: tuple[Any, Any], hard: float, soft: float
) -> None:
    app = install(Celery(set_as_current=False))
    app.taskfleet.defaults.add(OURS)
    app.conf.update(conf)
    made = app.task(name="it", shared=False, **task)(nothing)

    in_message = effective(message, app.tasks[made.name], app.conf)

    # As Celery does when it hands the task to the pool.
    assert (in_message[0] or made.time_limit, in_message[1] or made.soft_time_limit) == (hard, soft)
