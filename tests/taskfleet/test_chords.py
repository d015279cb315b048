"""Chords on backends that Celery's own chord only polls or joins, also of tasks that store no results."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chord, group
from celery.exceptions import ChordError, Reject
from taskfleet.brokers import credentials
from taskfleet.contract import environment as env
from taskfleet.contract import names, results
from taskfleet.dead_letters.dead_letter import DeadLetterKind
from taskfleet.dead_letters.unsent import Unsent
from taskfleet.errors import PublishError
from taskfleet.publishing import behalf
from taskfleet.settings import WorkerSettings

from tests.support.ministack import MiniStack
from tests.support.processes import wait_for
from tests.support.results_cache import ResultsCache
from tests.support.tiny_fleet import TinyFleet
from tests.taskfleet import behalf_tasks as tasks


@pytest.fixture(params=["file", "dynamodb", "redis", "cache"])
def backend(
    request: pytest.FixtureRequest,
    fleet: TinyFleet,
    aws: MiniStack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    """Polled by `celery.chord_unlock`; joined by the last task of the header; carried in Redis.

    ``cache`` is Redis as the fleet's stack has it: TLS, and a password that is read where it is.
    """
    if request.param == "redis":
        yield fleet.valkey.url
    elif request.param == "dynamodb":
        yield results_table(aws, fleet.name)
    elif request.param == "cache":
        monkeypatch.setattr(credentials, "_results", None)
        cache = ResultsCache(fleet.name, tmp_path / "cache", aws, certificates=fleet.directory / "tls")
        yield cache.url
        cache.close()
    else:
        (tmp_path / "results").mkdir()
        yield f"file://{tmp_path}/results"


def results_table(aws: MiniStack, environment: str) -> str:
    """The table as the fleet's stack makes it, and the URL that its workers get."""
    dynamodb, name = aws.client("dynamodb"), names.results_table(environment)
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": results.KEY, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": results.KEY, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.update_time_to_live(
        TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": results.EXPIRES}
    )
    return results.url(environment, "us-east-1", expires_seconds=3600)


def start(fleet: TinyFleet, backend: str, **more: str) -> Celery:
    variables = {env.APP.name: "tests.taskfleet.behalf_tasks:app", tasks.BACKEND: backend, **more}
    fleet.start_worker("r1", **variables)
    app = fleet.app()
    app.conf.result_backend = backend
    return app


def test_chords_groups_and_error_callbacks_work_on_every_backend(fleet: TinyFleet, backend: str) -> None:
    """Header tasks that ignore their results, too. The error callbacks are as many as in Celery 5.7."""
    app = start(fleet, backend)
    quiet, body, fails = map(app.signature, ("behalf.quiet", "behalf.body", "behalf.fails-at-once"))
    on_error = app.signature("behalf.on-error")

    result = chord([quiet.clone((1,)), quiet.clone((2,))], app=app)(body)
    numbers = group([body.clone((n,)) for n in (10, 20)], app=app).apply_async()
    assert result.get(timeout=30) == [1, 2]
    assert numbers.join(timeout=30) == [10, 20]
    assert sorted(fleet.executed("body")) == [3, 10, 20]

    failed = [failing(app, chord([quiet.clone((1,)), fails], body, app=app), on_error, header=False)]
    callbacks(fleet, 1)  # the body's
    failed.append(failing(app, chord([quiet.clone((1,)), fails], body, app=app), on_error, header=True))
    callbacks(fleet, 1 + 2)  # the body's, and that of the header task
    failed.append(failing(app, group([fails, fails], app=app), on_error, header=False))
    callbacks(fleet, 1 + 2 + 2)
    for each in failed:
        with pytest.raises((KeyError, ChordError)):
            each.get(timeout=30)


def failing(app: Celery, canvas: Any, on_error: Any, *, header: bool) -> Any:
    app.conf.task_allow_error_cb_on_chord_header = header
    canvas.link_error(on_error)
    return canvas.apply_async()


def callbacks(fleet: TinyFleet, number: int) -> None:
    wait_for(lambda: len(fleet.executed("on-error")) >= number, seconds=30, what=f"{number} error callbacks")
    assert len(fleet.executed("on-error")) == number


@pytest.mark.parametrize("last", [True, False], ids=["last", "first"])
@pytest.mark.parametrize("where", ["on_chord_part_return", "_chord_claim_extend_script"])
def test_a_body_runs_though_a_header_task_is_killed_in_what_counts_it(
    fleet: TinyFleet, where: str, last: bool
) -> None:
    # One child, so that what is broken in it meets the task that ends last, whichever that is.
    app = start(fleet, fleet.valkey.url, **{env.CONCURRENCY.name: "1"})
    header = [
        app.signature("behalf.quiet", (1,), countdown=0 if last else 1),
        app.signature("behalf.dies-before-it-is-counted", (2, where), countdown=1 if last else 0),
    ]

    result = chord(header, app=app)(app.signature("behalf.body"))

    assert result.get(timeout=90) == [1, 2]
    assert fleet.executed("body") == [3]


def test_a_child_that_is_forked_as_the_end_of_another_is_recorded_can_store_results(fleet: TinyFleet) -> None:
    app = start(
        fleet,
        fleet.valkey.url,
        **{env.CONCURRENCY.name: "1", env.APP.name: "tests.taskfleet.slow_outcomes:app"},
    )
    dies = app.signature("behalf.dies-before-it-is-counted", (1, "on_chord_part_return"))

    result = chord([dies], app=app)(app.signature("behalf.body"))

    assert result.get(timeout=60) == [1]


def test_a_chord_that_can_never_be_complete_ends_as_a_failure(
    fleet: TinyFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = start(fleet, f"file://{tmp_path}")
    poll = app.signature(
        "celery.chord_unlock",
        ("a-group", app.signature("behalf.body", task_id="the-body")),
        {"result": [(("never-published", None), None)], "interval": 0.05, "max_retries": 3},
    )

    poll.apply_async()

    wait_for(lambda: app.AsyncResult("the-body").state == "FAILURE", seconds=60, what="the body's failure")
    wait_for(lambda: fleet.dead_letters("low") == 1, seconds=60, what="the letter")
    assert next(iter(fleet.store.headings(["low"]))).kind is DeadLetterKind.RETRIES_EXHAUSTED


def test_what_celery_swallows_in_a_poll_gives_it_back(fleet: TinyFleet) -> None:
    app = fleet.app()
    app.taskfleet.bind(worker_settings(fleet))
    unsent = Unsent(([], {}, {}), "low", {"headers": {"task": "body", "id": "1"}})

    # `suppress` is what Celery does.
    with pytest.raises(Reject) as caught, behalf.giving_back(), contextlib.suppress(Exception):
        behalf.refused(app, PublishError("no broker accepted it"), unsent)

    assert caught.value.requeue
    assert fleet.dead_letters("low") == 0


def test_what_no_broker_will_ever_take_is_kept_and_stays_an_error(fleet: TinyFleet) -> None:
    app = fleet.app()
    app.taskfleet.bind(worker_settings(fleet))
    body = app.signature("behalf.body", (["x" * 300_000],), task_id="large")

    with pytest.raises(Exception, match="bytes"), behalf.keeping():
        body.apply_async()

    assert next(iter(fleet.store.headings(["low"]))).kind is DeadLetterKind.UNPUBLISHED


def worker_settings(fleet: TinyFleet) -> WorkerSettings:
    return WorkerSettings.from_environ(fleet.worker_environment("r1"))


def test_polls_end_when_results_have_expired(fleet: TinyFleet, tmp_path: Path) -> None:
    from taskfleet.publishing.results import _most_polls  # not for others

    app = fleet.app()
    app.conf.update(result_backend=f"file://{tmp_path}", result_expires=60, result_chord_retry_interval=2)

    assert _most_polls(app) == 31
