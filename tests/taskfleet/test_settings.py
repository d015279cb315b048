"""Settings from the environment, and the Celery configuration made of them."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
from celery.bin.worker import worker
from taskfleet import config
from taskfleet.brokers.redis.commands import Lease
from taskfleet.brokers.redis.ownership import SESSION_TIMEOUT_SECONDS
from taskfleet.contract import limits
from taskfleet.errors import SettingsError
from taskfleet.settings import VARIABLES, BeatSettings, ControllerSettings, ProducerSettings, WorkerSettings
from taskfleet.worker.command import worker_argv

GOOD = {
    "TASKFLEET_ENVIRONMENT": "dev",
    "TASKFLEET_BROKER_HOST": "broker.example",
    "TASKFLEET_BROKER_PORT": "6379",
    "TASKFLEET_APP": "shop.app:app",
    "TASKFLEET_RELEASE": "s1",
    "TASKFLEET_POOL": "low",
    "TASKFLEET_QUEUES": "low,etl,high",
    "TASKFLEET_BROKER": "primary",
    "TASKFLEET_EXECUTION": "prefork",
    "TASKFLEET_CONCURRENCY": "4",
    "TASKFLEET_CHILD_MEMORY_MIB": "448",
    "TASKFLEET_MAX_TASKS_PER_CHILD": "1000",
    "TASKFLEET_VISIBILITY_TIMEOUT_SECONDS": "3600",
    "TASKFLEET_SOFT_TIME_LIMIT_SECONDS": "300",
    "TASKFLEET_TIME_LIMIT_SECONDS": "330",
    "TASKFLEET_SOFT_SHUTDOWN_SECONDS": "90",
}


@pytest.mark.parametrize(
    "given", [GOOD, GOOD | {"TASKFLEET_ACCEPTED_BREAKS": "a,b", "TASKFLEET_LOG_LEVEL": "DEBUG"}]
)
def test_what_a_container_gets_is_what_its_process_reads(given: dict[str, str]) -> None:
    settings = WorkerSettings.from_environ(given)

    assert settings.to_environ() == given
    assert given.keys() >= WorkerSettings.required()


def test_what_is_at_its_default_is_not_written() -> None:
    settings = ControllerSettings(environment="dev", broker_host="here", broker_port=1, app="shop.app:app")

    assert settings.to_environ().keys() == ControllerSettings.required()


@pytest.mark.parametrize("kind", [BeatSettings, ControllerSettings, WorkerSettings])
def test_no_two_settings_have_one_variable(kind: type[ProducerSettings]) -> None:
    variables = [each.metadata["variable"].name for each in dataclasses.fields(kind)]

    assert len(set(variables)) == len(variables)
    assert set(variables) <= VARIABLES


def test_a_worker_reads_its_environment() -> None:
    settings = WorkerSettings.from_environ(GOOD)

    assert settings.versioned_queues == ("low.s1", "etl.s1", "high.s1")
    assert settings.bound_release == "s1"
    assert settings.log_level == "INFO"


def test_every_problem_is_named_at_once() -> None:
    bad = GOOD | {
        "TASKFLEET_POOL": "",
        "TASKFLEET_BROKER": "kafka",
        "TASKFLEET_CONCURRENCY": "-1",
        "TASKFLEET_QUEUES": "low,Etl",
        "TASKFLEET_APP": "shop",
        "TASKFLEET_INCLUDE": "shop.more, shop.tools",
    }

    with pytest.raises(SettingsError) as raised:
        WorkerSettings.from_environ(bad)

    message = str(raised.value)
    assert "TASKFLEET_POOL is missing" in message
    assert "TASKFLEET_BROKER='kafka': must be one of primary, fallback" in message
    assert "TASKFLEET_CONCURRENCY='-1': must be a whole number of at least 1" in message
    assert "TASKFLEET_QUEUES='low,Etl'" in message
    assert "TASKFLEET_APP='shop': must be `module:attribute`" in message
    assert "TASKFLEET_INCLUDE='shop.more, shop.tools': must be modules by comma" in message


def test_a_worker_has_the_modules_that_are_included() -> None:
    settings = WorkerSettings.from_environ(GOOD | {"TASKFLEET_INCLUDE": "shop.more,shop.tools"})

    argv = worker_argv(settings)
    understood = worker.make_context("worker", argv[argv.index("worker") + 1 :], resilient_parsing=True)

    assert understood.params["include"] == ["shop.more", "shop.tools"]


@pytest.mark.parametrize("name", ["CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"])
def test_a_variable_that_would_redirect_celery_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is set: Celery would use it instead"):
        ProducerSettings.from_environ(GOOD | {name: "redis://elsewhere"})


def test_a_container_with_a_bad_environment_says_so_and_exits() -> None:
    command = [sys.executable, "-m", "taskfleet", "worker"]
    done = subprocess.run(command, env={"TASKFLEET_POOL": "low"}, capture_output=True, text=True, check=False)

    assert done.returncode == 78
    assert "TASKFLEET_RELEASE is missing: the release that this worker belongs to" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_is_configured_with_its_limits() -> None:
    settings = WorkerSettings.from_environ(GOOD)
    made = config.worker_defaults(settings) | config.connection(settings)

    assert made["worker_max_memory_per_child"] == 448 * 1024, "KiB"
    assert made["worker_prefetch_multiplier"] == 1
    assert (made["task_soft_time_limit"], made["task_time_limit"]) == (300, 330)
    assert made["broker_transport_options"]["visibility_timeout"] == 3600
    assert made["broker_url"].startswith("rediss://broker.example:6379/")
    assert made["broker_use_ssl"]["ssl_cert_reqs"] == "required"


def test_no_password_is_in_any_url() -> None:
    assert "@" not in config.connection(WorkerSettings.from_environ(GOOD))["broker_url"]


def test_a_fallback_worker_has_no_remote_control_and_does_not_wait_between_polls() -> None:
    made = config.connection(WorkerSettings.from_environ(GOOD | {"TASKFLEET_BROKER": "fallback"}))

    assert made["worker_enable_remote_control"] is False
    assert made["broker_transport_options"]["polling_interval"] == 0
    assert made["broker_transport_options"]["queue_name_prefix"] == "taskfleet-dev-"


@pytest.mark.parametrize("broker", ["primary", "fallback"])
def test_a_worker_keeps_its_messages_for_the_lease_of_the_settings(broker: str) -> None:
    given = GOOD | {"TASKFLEET_BROKER": broker}

    default = config.connection(WorkerSettings.from_environ(given))["broker_transport_options"]
    set_to = config.connection(WorkerSettings.from_environ(given | {"TASKFLEET_LEASE_SECONDS": "20"}))

    assert "lease_seconds" not in default, "the transport's own"
    assert set_to["broker_transport_options"]["lease_seconds"] == 20


def test_the_shortest_lease_is_longer_than_a_worker_with_the_longest_is_silent() -> None:
    """While a deploy changes the lease, those with the shorter one give on what the others hold."""
    silent = Lease(limits.REDIS_LEASE_MOST_SECONDS).beat_seconds + SESSION_TIMEOUT_SECONDS

    assert silent < limits.REDIS_LEASE_LEAST_SECONDS
