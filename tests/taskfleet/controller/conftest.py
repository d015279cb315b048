"""An environment for each test."""

from __future__ import annotations

import pytest

from tests.support.ministack import MiniStack
from tests.support.valkey import Valkey
from tests.taskfleet.controller.account import Account


@pytest.fixture
def account(aws: MiniStack, valkey: Valkey) -> Account:
    valkey.client().flushall()
    return Account(aws, valkey)


@pytest.fixture
def current(account: Account) -> Account:
    """An environment whose first release is current."""
    made, controller = account.deploy("blue"), account.controller()
    account.pass_time(controller, 1)
    account.run_gates(made)
    account.pass_time(controller, 1)
    return account
