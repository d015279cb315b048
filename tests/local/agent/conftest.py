"""One emulated account for the folder, one agent for each file or test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.agent.fleet import CLUSTER, Emulator, Fleet


@pytest.fixture(scope="package")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The account, with the cluster in it."""
    emulator = Emulator(tmp_path_factory.mktemp("emulator"))
    emulator.start()
    emulator.client("ecs").create_cluster(clusterName=CLUSTER)
    yield emulator
    emulator.stop()


@pytest.fixture
def idle_fleet(emulator: Emulator, tmp_path: Path) -> Iterator[Fleet]:
    """An agent of the test's own, which it has yet to start. Not beside `fleet`: both would act."""
    fleet = Fleet(emulator, tmp_path)
    yield fleet
    fleet.close()


@pytest.fixture(scope="module")
def module_fleet(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A running agent for all tests of a file."""
    fleet = Fleet(emulator, tmp_path_factory.mktemp("fleet"))
    fleet.start()
    yield fleet
    fleet.close()


@pytest.fixture
def fleet(module_fleet: Fleet) -> Iterator[Fleet]:
    """The file's agent, without services before and after the test."""
    yield module_fleet
    module_fleet.clear()
