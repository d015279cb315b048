"""Whoever waits for the result of what was put aside hears that it failed, as with Celery."""

from __future__ import annotations

import pytest
from celery.exceptions import NotRegistered
from taskfleet.contract import environment as env
from taskfleet.errors import DeadLettered

from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.support.valkey import Valkey
from tests.taskfleet.dead_letters.test_failures import APP, letters, unacknowledged
from tests.taskfleet.dead_letters.test_slots import no_backend


def test_a_result_and_an_error_callback(fleet: TinyFleet) -> None:
    backend = fleet.valkey.url.replace("/0", "/1")
    app = fleet.app()
    app.conf.result_backend = backend
    fleet.start_worker("r1", **APP, CELERY_RESULT_BACKEND=backend)
    told = app.signature("ends.well", args=[5], immutable=True)

    unknown = app.send_task("no.such.task", ignore_result=False, link_error=told)
    wrong = app.send_task("ends.well", ["one", "too many"], ignore_result=False)

    with pytest.raises(NotRegistered):
        unknown.get(timeout=20)
    with pytest.raises(DeadLettered, match="does not take its arguments"):
        wrong.get(timeout=20)
    fleet.wait_executed("well", 1)
    assert fleet.executed("well") == [5]


def test_a_backend_that_is_away_holds_nobody_up(fleet: TinyFleet) -> None:
    fleet.start_worker("r1", **APP, **no_backend())
    app = fleet.app()
    for n in range(5):
        app.send_task("no.such.task", ignore_result=False)
        app.send_task("ends.well", [n])

    fleet.wait_executed("well", 5)
    wait_for(lambda: fleet.dead_letters("low") == 5, what="the letters")
    wait_for(lambda: unacknowledged(fleet) == 0, what="their acknowledgement")


@pytest.mark.parametrize("execution", ["prefork", "threads"])
def test_what_ends_while_the_backend_is_away_is_stored_as_what_it_was(
    fleet: TinyFleet, execution: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    results = Valkey(tmp_path_factory.mktemp("results"))
    backend = {"CELERY_RESULT_BACKEND": results.url.replace("/0", "/1")}
    fleet.start_worker("r1", **APP, **backend, **{env.EXECUTION.name: execution})
    app = fleet.app()
    app.conf.result_backend = backend["CELERY_RESULT_BACKEND"]

    sent = app.send_task("ends.with-a-result", ignore_result=False)
    failed = app.send_task("ends.badly-with-a-result", ignore_result=False)
    retried = app.send_task("ends.retried-well", ignore_result=False)

    wait_for(lambda: list(fleet.events("began-with-a-result")), seconds=60, what="the task")
    wait_for(lambda: fleet.dead_letters("low") == 1, seconds=60, what="the letter of the one that failed")
    wait_for(lambda: unacknowledged(fleet) == 0, seconds=60, what="its acknowledgement")
    results.start()
    try:
        assert sent.get(timeout=30) == "result"
        with pytest.raises(KeyError):
            failed.get(timeout=30)
        assert retried.get(timeout=30) is None
    finally:
        results.stop()
    assert len(list(fleet.events("began-with-a-result"))) == 1
    assert letters(fleet)["ends.badly-with-a-result"].exception == "KeyError: 'no result'"
    assert fleet.dead_letters("low") == 1
