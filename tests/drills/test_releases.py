"""How the drills of releases count, and their short forms, one after the other on one rig."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drills.releases.counting import count
from drills.releases.drills import DRILLS, TOO_LONG_FOR_TESTS
from drills.releases.rig import Rig


def published(n: int = 0, tasks: int = 1, accepted: bool = True) -> dict[str, Any]:
    return {"n": n, "tasks": tasks, "accepted": accepted}


def ran(n: int = 0, task: int = 0, **more: Any) -> dict[str, Any]:
    given = {"meant": "r2", "stamped": "r2", "release": "r2", "broker": "primary"}
    return {"n": n, "task": task, **given, **more}


def failing(*, published: list[dict[str, Any]], did: list[dict[str, Any]]) -> list[str]:
    return [check.text for check in count(published, did).checks() if not check.holds]


def test_what_ran_once_where_it_was_meant_to_holds() -> None:
    assert failing(published=[published(), published(1)], did=[ran(), ran(1, meant=None)]) == []


def test_a_part_of_a_workflow_that_never_ran_is_lost() -> None:
    both = [ran(), ran(broker="fallback")]
    assert failing(published=[published(tasks=2)], did=[*both, ran(task=1), ran(task=1)]) == []
    assert (
        failing(published=[published(tasks=2)], did=[ran(), ran(broker="fallback"), ran(task=1), ran(task=1)])
        == []
    )


def test_what_was_refused_is_not_lost() -> None:
    assert failing(published=[published(tasks=3, accepted=False)], did=[]) == [
        "every publish was accepted: 3 were not"
    ]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    made = Rig(Path(tmp_path_factory.mktemp("releases")))
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in DRILLS if name not in TOO_LONG_FOR_TESTS])
def test_the_short_form_holds(rig: Rig, name: str) -> None:
    report = DRILLS[name][1](rig, True)

    assert report.holds, report.table()
