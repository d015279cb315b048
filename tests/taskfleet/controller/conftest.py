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
