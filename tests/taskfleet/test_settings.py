"""Settings from the environment, and the Celery configuration made of them."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
from celery.bin.worker import worker
from taskfleet import config
from taskfleet.contract import environment as env
from taskfleet.contract.environment import Role
from taskfleet.errors import SettingsError
from taskfleet.settings import BeatSettings, ControllerSettings, ProducerSettings, WorkerSettings, read
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
    ("role", "kind"),
    [
        (Role.PRODUCER, ProducerSettings),
        (Role.BEAT, BeatSettings),
        (Role.CONTROLLER, ControllerSettings),
        (Role.WORKER, WorkerSettings),
    ],
)
def test_a_role_requires_exactly_what_the_contract_says(role: Role, kind: type[ProducerSettings]) -> None:
    fields = dataclasses.fields(kind)

    required = {f.metadata["variable"] for f in fields if f.default is dataclasses.MISSING}

    assert required == set(env.required(role))


def test_a_worker_reads_its_environment() -> None:
    settings = read(WorkerSettings, GOOD)

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
        read(WorkerSettings, bad)

    message = str(raised.value)
    assert "TASKFLEET_POOL is missing" in message
    assert "TASKFLEET_BROKER='kafka': must be one of primary, fallback" in message
    assert "TASKFLEET_CONCURRENCY='-1': must be a whole number of at least 1" in message
    assert "TASKFLEET_QUEUES='low,Etl'" in message
    assert "TASKFLEET_APP='shop': must be `module:attribute`" in message
    assert "TASKFLEET_INCLUDE='shop.more, shop.tools': must be modules by comma" in message


def test_a_worker_has_the_modules_that_are_included() -> None:
    settings = read(WorkerSettings, GOOD | {"TASKFLEET_INCLUDE": "shop.more,shop.tools"})

    argv = worker_argv(settings)
    understood = worker.make_context("worker", argv[argv.index("worker") + 1 :], resilient_parsing=True)

    assert understood.params["include"] == ["shop.more", "shop.tools"]


@pytest.mark.parametrize("name", ["CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"])
def test_a_variable_that_would_redirect_celery_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is set: Celery would use it instead"):
        read(ProducerSettings, GOOD | {name: "redis://elsewhere"})


def test_a_container_with_a_bad_environment_says_so_and_exits() -> None:
    command = [sys.executable, "-m", "taskfleet", "worker"]
    done = subprocess.run(command, env={"TASKFLEET_POOL": "low"}, capture_output=True, text=True, check=False)

    assert done.returncode == 78
    assert "TASKFLEET_RELEASE is missing: the release that this worker belongs to" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_is_configured_with_its_limits() -> None:
    settings = read(WorkerSettings, GOOD)
    made = config.worker_defaults(settings) | config.connection(settings)

    assert made["worker_max_memory_per_child"] == 448 * 1024, "KiB"
    assert made["worker_prefetch_multiplier"] == 1
    assert (made["task_soft_time_limit"], made["task_time_limit"]) == (300, 330)
    assert made["broker_transport_options"]["visibility_timeout"] == 3600
    assert made["broker_url"].startswith("rediss://broker.example:6379/")
    assert made["broker_use_ssl"]["ssl_cert_reqs"] == "required"


def test_no_password_is_in_any_url() -> None:
    assert "@" not in config.connection(read(WorkerSettings, GOOD))["broker_url"]


def test_a_fallback_worker_has_no_remote_control_and_does_not_wait_between_polls() -> None:
    made = config.connection(read(WorkerSettings, GOOD | {"TASKFLEET_BROKER": "fallback"}))

    assert made["worker_enable_remote_control"] is False
    assert made["broker_transport_options"]["polling_interval"] == 0
    assert made["broker_transport_options"]["queue_name_prefix"] == "taskfleet-dev-"
