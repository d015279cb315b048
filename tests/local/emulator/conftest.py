"""One emulated account for the folder; a test that kills one takes its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.emulator.account import Account


@pytest.fixture(scope="package")
def account() -> Iterator[Account]:
    account = Account()
    account.start()
    yield account
    account.stop()


@pytest.fixture
def kept_account(tmp_path: Path) -> Iterator[Account]:
    account = Account(keep=tmp_path / "account")
    account.start()
    yield account
    account.stop()
