"""Large arguments go by S3, come back as they were, and say so when they are gone."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from celery import Celery
from taskfleet import aws as clients
from taskfleet import install
from taskfleet.contract.environment import ENVIRONMENT
from taskfleet.errors import SettingsError
from taskfleet.publishing.encoding import largest
from taskfleet.tools import PayloadGone, store, stored

from tests.support.ministack import MiniStack


@stored()
def kept(rows: Any, n: int = 0) -> Any:
    return rows, n


@pytest.fixture
def app(aws_environment: MiniStack) -> Celery:
    clients._clients.after_fork()
    made = install(Celery("shop", set_as_current=False))
    made.conf.taskfleet_payload_bucket = f"payloads-{uuid.uuid4().hex[:8]}"
    aws_environment.client("s3").create_bucket(Bucket=made.conf.taskfleet_payload_bucket)
    return made


def test_a_reference_is_small_and_the_task_gets_the_value(app: Celery) -> None:
    rows = [{"n": n, "at": datetime(2026, 1, 1, tzinfo=UTC)} for n in range(10_000)]
    passed = json.loads(json.dumps(store(rows, app=app)))
    assert len(json.dumps(passed)) < 200
    assert kept(passed, n=1) == (rows, 1)
    assert kept(1, n=passed) == (1, rows)
    assert kept({"plain": 1}) == ({"plain": 1}, 0)


def test_what_is_gone_is_said_to_be_gone(app: Celery) -> None:
    passed = store([1], app=app, keep_days=1)
    with pytest.raises(PayloadGone, match="could be read until"):
        kept(passed | {"until": time.time() - 1})
    bucket, _, key = passed["taskfleet-stored"].partition("/")
    clients.client("s3").delete_object(Bucket=bucket, Key=key)
    with pytest.raises(PayloadGone, match="lifecycle rule"):
        kept(passed)


def test_without_a_bucket_it_is_said_what_to_set(app: Celery) -> None:
    app.conf.taskfleet_payload_bucket = None
    with pytest.raises(SettingsError, match=r"app\.conf\.taskfleet_payload_bucket = …"):
        store([1], app=app)
    with pytest.raises(ValueError, match="1 day at least"):
        store([1], app=app, keep_days=0)


def test_in_a_test_of_the_teams_own_nothing_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT.name, raising=False)
    app = install(Celery("shop", set_as_current=False, broker="memory://"))
    assert kept(store([1], app=app)) == ([1], 0)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ((("ab", "x" * 50), {}, {}), " (the largest is argument 2, a str of 52 bytes)"),
        (((1,), {"rows": [1] * 20}, {}), " (the largest is argument 'rows', a list of 60 bytes)"),
        (((), {}, {}), ""),
        ({"args": []}, ""),
    ],
)
def test_the_largest_argument_is_named(body: Any, says: str) -> None:
    assert largest(body) == says
