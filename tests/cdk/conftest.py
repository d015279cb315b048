"""One emulated account, bootstrapped by the CDK's own command line, for the tests of this folder."""

from __future__ import annotations

import os

os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")
os.environ.setdefault("NODE_NO_WARNINGS", "1")

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cdk.deploying import Cdk
from tests.local.emulator.account import Account


@pytest.fixture(scope="package")
def account() -> Iterator[Account]:
    account = Account()
    account.start()
    yield account
    account.stop()


@pytest.fixture(scope="package")
def cdk(account: Account, tmp_path_factory: pytest.TempPathFactory) -> Cdk:
    cdk = Cdk(account, tmp_path_factory.mktemp("cdk"))
    assert cdk.run("bootstrap", "aws://000000000000/us-east-1") == 0, cdk.output
    return cdk


@pytest.fixture
def assemblies(tmp_path: Path) -> Path:
    """Where a test synthesizes into."""
    return tmp_path
