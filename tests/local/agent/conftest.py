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
def fleet(emulator: Emulator, tmp_path: Path) -> Iterator[Fleet]:
    """A running agent."""
    fleet = Fleet(emulator, tmp_path)
    fleet.start()
    yield fleet
    fleet.close()
