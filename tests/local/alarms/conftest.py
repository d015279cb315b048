"""An emulated account with one service that two alarms scale."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.alarms.account import Account
from tests.local.alarms.service import ScaledService

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """One for all tests of this folder."""
    running = Account(tmp_path_factory.mktemp("account"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def service(account: Account) -> ScaledService:
    """A service of this test's own, with its target, policies and alarms."""
    return ScaledService(account, name=f"low-{next(_numbers)}")


@pytest.fixture
def own_account(tmp_path: Path) -> Iterator[Account]:
    """One that the test may kill."""
    running = Account(tmp_path)
    running.start()
    yield running
    running.stop()
