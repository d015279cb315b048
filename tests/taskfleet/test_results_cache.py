"""Results in a cache of their own, as `results=ResultsCache()` gives it to workers and producers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from redis.exceptions import ConnectionError as RedisConnectionError
from taskfleet.brokers import credentials
from taskfleet.contract import environment as env
from taskfleet.contract import names

from tests.support.processes import wait_for
from tests.support.results_cache import ResultsCache
from tests.support.tiny_fleet import TinyFleet


@pytest.fixture
def cache(fleet: TinyFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ResultsCache]:
    monkeypatch.setattr(credentials, "_results", None)
    made = ResultsCache(fleet.name, tmp_path / "cache", fleet.aws, certificates=fleet.directory / "tls")
    yield made
    made.close()


@pytest.fixture
def app(fleet: TinyFleet, cache: ResultsCache, monkeypatch: pytest.MonkeyPatch) -> Celery:
    """A producer that got the variable, as a worker that runs gets it."""
    variables = {env.APP.name: "tests.taskfleet.behalf_tasks:app", env.RESULT_BACKEND.name: cache.url}
    fleet.start_worker("r1", **variables)
    monkeypatch.setenv(env.RESULT_BACKEND.name, cache.url)
    return fleet.app()


def body(app: Celery, number: int) -> object:
    """A task that adds up what it gets, and its result."""
    return app.signature("behalf.body", (number,)).apply_async()


def test_workers_and_producers_read_its_password_where_it_is(
    fleet: TinyFleet, cache: ResultsCache, app: Celery
) -> None:
    assert cache.valkey.password not in cache.url
    assert body(app, 7).get(timeout=20) == 7  # type: ignore[attr-defined]

    keys = cache.valkey.client().keys("celery-task-meta-*")
    assert len(keys) == 1
    assert cache.valkey.client().ttl(keys[0]) > 0, "what never expires is never evicted"
    assert fleet.valkey.client().keys("celery-task-meta-*") == [], "nothing of it is in the broker"


def test_while_it_is_away_tasks_run_and_are_acknowledged_and_results_come_later(
    fleet: TinyFleet, cache: ResultsCache, app: Celery
) -> None:
    assert body(app, 1).get(timeout=20) == 1  # type: ignore[attr-defined]
    cache.valkey.kill()

    later = [body(app, number) for number in (2, 3)]

    wait_for(lambda: fleet.executed("body") == [1, 2, 3], seconds=20, what="both tasks ran")
    broker = fleet.valkey.client()
    wait_for(lambda: broker.hlen("unacked") == 0, seconds=20, what="both are acknowledged")
    cache.valkey.start()
    assert [one.get(timeout=30) for one in later] == [2, 3]  # type: ignore[attr-defined]


def test_another_password_is_followed_without_a_restart(
    fleet: TinyFleet, cache: ResultsCache, app: Celery
) -> None:
    assert body(app, 1).get(timeout=20) == 1  # type: ignore[attr-defined]

    cache.rotate("the-password-after-that-one")

    with contextlib.suppress(RedisConnectionError):  # the first to log in learns that it is another one
        app.backend.client.ping()
    assert body(app, 2).get(timeout=20) == 2  # type: ignore[attr-defined]


def test_a_server_that_nobody_vouches_for_is_not_talked_to(
    fleet: TinyFleet, cache: ResultsCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ResultsCache(
        f"{fleet.name}x", tmp_path / "other", fleet.aws, certificates=tmp_path / "other-authority"
    )
    try:
        app = fleet.app()
        app.conf.result_backend = made.url
        with pytest.raises(RedisConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            app.backend.client.ping()
    finally:
        made.close()


def test_without_its_secret_the_error_says_what_is_missing(fleet: TinyFleet, cache: ResultsCache) -> None:
    fleet.aws.client("secretsmanager").delete_secret(
        SecretId=names.results_secret(fleet.name), ForceDeleteWithoutRecovery=True
    )
    app = fleet.app()
    app.conf.result_backend = cache.url

    with pytest.raises(RedisConnectionError, match="the results' cache: its password can't be read"):
        app.backend.client.ping()
