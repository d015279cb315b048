"""An emulated account for each file, bootstrapped by the CDK: no file finds what another one deployed."""

from __future__ import annotations

import os

os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")
os.environ.setdefault("NODE_NO_WARNINGS", "1")

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from taskfleet.contract import parameters
from taskfleet.releases import answers

from infra.checks.access import policies, report
from infra.checks.access import resolve as access
from infra.checks.access.calls import Call
from infra.environments import LOCAL
from tests.cdk.deploying import Cdk
from tests.local.emulator.account import Account
from tests.support import seen_calls


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    account = Account(calls=tmp_path_factory.mktemp("account") / "calls.jsonl")
    account.start()
    yield account
    account.stop()


@pytest.fixture(scope="module")
def controller(account: Account) -> Iterator[None]:
    """Answers each deploy of a release at once: no controller runs here, nor a worker."""
    ssm, path, ended = account.client("ssm"), parameters.release_answers("local"), threading.Event()

    def answer() -> None:
        answered = set()
        while not ended.wait(0.5):
            waiting = {one["Value"] for one in ssm.get_parameters_by_path(Path=path)["Parameters"]}
            for url in waiting - answered:
                answers.send(url, success=True, reason="for the test")
            answered |= waiting

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield
    ended.set()
    thread.join()


@pytest.fixture(scope="module")
def cdk(
    account: Account,
    controller: None,
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> Iterator[Cdk]:
    cdk = Cdk(account, tmp_path_factory.mktemp("cdk"))
    assert cdk.bootstrap("aws://000000000000/us-east-1") == 0, cdk.output
    yield cdk
    assert account.calls is not None, "the account was started with it"
    seen = seen_calls.read(account.calls, LOCAL)
    seen_calls.keep(pytestconfig, seen)
    assert denied(seen) == []
    assert not seen_calls.unknown(account.calls, LOCAL)


def denied(seen: set[Call]) -> list[str]:
    """What `make policies` would have to allow who deploys, beside what it does."""
    of = access.Account(LOCAL.account, LOCAL.region, {})
    found = policies.of(of, LOCAL)
    return report.denied(found, of, report.questions(seen, LOCAL, of, release="r1", found=found))


@pytest.fixture
def assemblies(tmp_path: Path) -> Path:
    """Where a test synthesizes into."""
    return tmp_path
