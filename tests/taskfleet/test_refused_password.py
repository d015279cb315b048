"""Another password than the one that is kept: whoever connects reads it anew, and nothing ends of it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from kombu.connection import Connection
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry
from taskfleet.brokers import PRIMARY_TRANSPORT, connections, credentials
from taskfleet.contract import names

from drills.tasks.app import app as drills_app
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet

NEW = "another-password-for-tests"


@pytest.fixture(autouse=True)
def kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but a refusal has it read again."""
    monkeypatch.setattr(credentials, "KEEP_SECONDS", 1e6)
    monkeypatch.setattr(credentials, "FOLLOWED_SECONDS", 2e6)
    monkeypatch.setattr(credentials, "_shared", None)


@pytest.fixture
def change(fleet: TinyFleet) -> Callable[[], None]:
    """Take the old password from the broker, with every connection that was made with it."""

    def changed() -> None:
        secret = json.dumps({"username": "default", "password": NEW})
        fleet.aws.client("secretsmanager").put_secret_value(
            SecretId=names.broker_secret(fleet.name), SecretString=secret
        )
        with fleet.valkey.client() as admin:
            admin.execute_command("ACL", "SETUSER", "default", "resetpass", f">{NEW}")
            fleet.valkey.password = NEW
            admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    return changed


def test_no_publish_fails_and_redis_takes_them_again(fleet: TinyFleet, change: Callable[[], None]) -> None:
    app = fleet.app()
    app.send_task("anything", queue="low")
    assert fleet.waiting("low", "r1") == 1

    change()
    sent = 1

    def on_redis_again() -> bool:
        nonlocal sent
        app.send_task("anything", queue="low")  # raises if neither broker takes it
        sent += 1
        return fleet.waiting("low", "r1") > 1

    wait_for(on_redis_again, seconds=60, what="Redis, with the new password")
    assert fleet.waiting("low", "r1") + fleet.waiting_on_sqs("low", "r1") == sent


def _kombu(fleet: TinyFleet) -> Callable[[], object]:
    """As a worker consumes."""
    url = connections.primary_url(fleet.settings())

    def ask() -> object:
        with Connection(
            url, transport=PRIMARY_TRANSPORT, ssl=connections.TLS, transport_options={"max_retries": 2}
        ) as connection:
            return connection.default_channel.client.ping()

    return ask


def _client(fleet: TinyFleet) -> Callable[[], object]:
    """As the controller measures, and the toolkit counts: the second try is in the same command."""
    client = connections.primary_client(
        fleet.settings(), timeout_seconds=3, retry=Retry(NoBackoff(), 1, (RedisConnectionError,))
    )
    return client.ping


@pytest.mark.parametrize("way", [_kombu, _client])
def test_what_connects_is_accepted_at_the_next_try(
    fleet: TinyFleet, change: Callable[[], None], way: Callable[[TinyFleet], Callable[[], object]]
) -> None:
    ask = way(fleet)
    assert ask()

    change()

    assert ask()


def test_a_worker_goes_on(fleet: TinyFleet, change: Callable[[], None]) -> None:
    app = fleet.have(drills_app)
    worker = fleet.start_worker("r1")
    record = app.tasks["drills.record"]
    record.delay(run="x", n=0)
    fleet.wait_executed("x", 1, seconds=60)

    change()
    sent = 1

    def runs_others() -> bool:
        nonlocal sent
        record.delay(run="x", n=sent)
        sent += 1
        return len(set(fleet.executed("x"))) > 1

    wait_for(runs_others, seconds=60, what="the worker, with the new password")
    assert worker.poll() is None
    accepted = lambda: len(set(fleet.executed("x"))) + fleet.waiting_on_sqs("low", "r1")  # noqa: E731
    wait_for(lambda: accepted() == sent, seconds=60, what="every task, here or on SQS")
