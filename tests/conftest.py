"""Fixtures that more than one folder of tests uses: a real broker and an emulated AWS account."""

from __future__ import annotations

import gc
import logging
import os

# Before `infra.chosen` is imported, and for the processes that tests start: the settings of the tests.
os.environ["TASKFLEET_ENVIRONMENTS"] = "tests.support.reference"

from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
import pytest
from botocore.loaders import create_loader
from xdist.scheduler import LoadScopeScheduling

from tests.support.ministack import MiniStack
from tests.support.seen_calls import SeenCalls
from tests.support.valkey import Valkey

# Which tests share a process when several run at once (pytest-xdist): those that share a fleet, a synthesis
# or a server, a path's longest prefix deciding. In this order, since what takes longest should begin first.
_GROUPS = (
    (
        "tests/fleet/test_outage",
        "tests/fleet/test_pools",
        "tests/fleet/test_run",
        "tests/fleet/test_scaling",
        "tests/fleet/test_changes",
    ),
    ("tests/fleet/test_drills",),
    ("tests/fleet/test_rolling",),
    (
        "tests/fleet",
        "tests/fleet/test_releases",
        "tests/fleet/test_faults",  # from here on, while the first release drains
        "tests/fleet/test_interrupt",
        "tests/fleet/test_results",
        "tests/fleet/test_retired",
        "tests/fleet/test_teardown",
    ),
    ("tests/taskfleet",),
    (
        "tests/taskfleet/test_figures",
        "tests/taskfleet/test_chords",
        "tests/taskfleet/test_control",
        "tests/taskfleet/test_draining",
        "tests/taskfleet/test_etas",
        "tests/taskfleet/test_testing",
        "tests/taskfleet/test_worker",
    ),
    ("tests/taskfleet/dead_letters", "tests/taskfleet/tools"),
    ("tests/taskfleet/cli", "tests/taskfleet/controller", "tests/taskfleet/releases"),
    ("tests/brokers",),
    ("tests/local",),
    ("tests/brokers/test_redis_kills", "tests/brokers/test_redis_outages", "tests/brokers/test_redis_worker"),
    ("tests/cdk",),
    ("tests",),
    ("tests/infra", "tests/test_readme"),  # one synthesis of all environments
)
_PLACES = {
    prefix: (place, order) for place, group in enumerate(_GROUPS) for order, prefix in enumerate(group)
}


def _place(nodeid: str) -> tuple[int, int]:
    """Which group, and where in it."""
    return _PLACES[max((prefix for prefix in _PLACES if nodeid.startswith(prefix)), key=len)]


class _ByGroup(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return _GROUPS[_place(nodeid)[0]][0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return _ByGroup(config, log)


# Slow: who asks for one of these servers, and what starts processes or synthesizes whole environments.
_SERVERS = {"valkey", "own_valkey", "aws", "own_aws"}
_SLOW = (
    "tests/brokers/test_sqs_leases",
    "tests/cdk",
    "tests/clone",
    "tests/drills/test_history",
    "tests/fleet",
    "tests/infra/test_access",
    "tests/infra/test_app",
    "tests/infra/test_checks",
    "tests/infra/test_cli",
    "tests/local",
    "tests/taskfleet/test_testing",
    "tests/taskfleet/test_throttling_readers",
    "tests/test_image",
    "tests/test_readme",
)


# Each session of boto3 reads the descriptions of AWS's APIs from their files, a tenth of a second and some
# MiB, and nearly each test has a session of its own, or several.
botocore.session.create_loader = cache(create_loader)


_LEVEL = logging.getLogger().level


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Celery's worker in a test's process sets the root logger to ERROR, and leaves it so."""
    logging.getLogger().setLevel(_LEVEL)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SeenCalls(config))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _place(item.nodeid))
    for item in items:
        if item.nodeid.startswith(_SLOW) or _SERVERS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("slow")


def pytest_collection_finish() -> None:
    """What is imported stays: a garbage collection that looks through it stops all threads for 0.3 s."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A valkey-server for the whole session. Leave it running; to kill one, take `own_valkey`."""
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A valkey-server with durable data that this test alone uses, and may kill or hang."""
    server = Valkey(tmp_path_factory.mktemp("own-valkey"), durable=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniStack]:
    """An emulated AWS account (SQS, SSM, DynamoDB, Secrets Manager, …) for the whole session."""
    account = MiniStack(tmp_path_factory.mktemp("ministack"))
    account.start()
    yield account
    account.stop()


@pytest.fixture
def own_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniStack]:
    """An emulated AWS account that this test alone uses, and may kill or hang."""
    account = MiniStack(tmp_path_factory.mktemp("own-ministack"))
    account.start()
    yield account
    account.stop()


@pytest.fixture
def aws_environment(aws: MiniStack, monkeypatch: pytest.MonkeyPatch) -> MiniStack:
    """This process talks to the emulated account: the AWS_* variables are set while the test runs."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    return aws
