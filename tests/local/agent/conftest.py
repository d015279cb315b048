"""One emulated account for the folder, one agent for each test."""

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
    """An agent that the test has yet to start."""
    fleet = Fleet(emulator, tmp_path)
    yield fleet
    fleet.close()


@pytest.fixture
def fleet(idle_fleet: Fleet) -> Fleet:
    """A running agent."""
    idle_fleet.start()
    return idle_fleet
