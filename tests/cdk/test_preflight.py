"""`make preflight` against an account: what is missing is said before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import boto3
import pytest

from infra import needs, preflight
from infra.preflight import account as checks
from infra.preflight.finding import Finding, State
from tests.cdk.deploying import Cdk
from tests.infra.synthesis import synthesize
from tests.local.emulator.account import Account
from tests.support import reference as environments

NETWORK = replace(environments.DEV.network, availability_zones=("us-east-1a", "us-east-1b"))
DEV = replace(environments.DEV, account="000000000000", region="us-east-1", network=NETWORK)


@pytest.fixture
def session(cdk: Cdk, monkeypatch: pytest.MonkeyPatch) -> boto3.Session:
    for name, value in cdk.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    return boto3.Session(region_name="us-east-1")


def by_what(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {one.what: one for one in findings}


def test_a_bootstrapped_account_in_ones_zones_is_prepared(session: boto3.Session) -> None:
    found = by_what(checks.prepared(DEV, session))

    assert found["zones"].state is found["bootstrap"].state is State.OK
    assert found["service roles"].state is State.LOOK
    assert (
        "aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com"
        in found["service roles"].run
    )


def test_a_zone_that_the_account_does_not_have_is_named_with_those_it_has(session: boto3.Session) -> None:
    wrong = replace(NETWORK, availability_zones=("us-east-1a", "us-east-1z"))

    zones = by_what(checks.prepared(replace(DEV, network=wrong), session))["zones"]

    assert (zones.state, zones.found) == (State.MISSING, "this account has no us-east-1z")
    assert "us-east-1b" in zones.then


def test_without_a_bootstrap_the_command_is_given(session: boto3.Session, account: Account) -> None:
    ssm = account.client("ssm")
    version = ssm.get_parameter(Name=checks.bootstrap_parameter(DEV))["Parameter"]["Value"]
    ssm.delete_parameter(Name=checks.bootstrap_parameter(DEV))
    try:
        found = by_what(checks.prepared(DEV, session))["bootstrap"]
    finally:
        ssm.put_parameter(Name=checks.bootstrap_parameter(DEV), Value=version, Type="String")

    assert found.state is State.MISSING
    assert found.run == ("node_modules/.bin/cdk bootstrap aws://000000000000/us-east-1",)


def test_where_the_account_is_not_reached_it_says_that_nothing_else_was_asked(
    session: boto3.Session,
) -> None:
    found = by_what(preflight.findings(environments.PROD, session))

    assert (found["account"].state, found["the rest"].state) == (State.MISSING, State.UNKNOWN)
    assert "not asked: the account's stacks" in found["the rest"].found


def test_credentials_of_another_account_are_refused(session: boto3.Session) -> None:
    (found,) = checks.reached(replace(DEV, account="123456789012"), session)

    assert found.state is State.MISSING
    assert found.found == "of account 000000000000; dev is in 123456789012"


def test_what_may_not_be_asked_is_unknown_and_stops_nothing(session: boto3.Session) -> None:
    """The emulated account has no Service Quotas."""
    found = by_what(preflight.quotas.enough(DEV, session, [needs.Need.steady(needs.VCPU, 3.5)]))

    assert {one.state for one in found.values()} == {State.UNKNOWN}
    assert found[needs.VCPU].found.startswith("3.5; the quota could not be asked: ")


def test_on_this_machine_nothing_is_asked_for_but_the_account_and_what_is_deployed(
    session: boto3.Session,
) -> None:
    found = list(by_what(preflight.findings(environments.LOCAL, session)))

    assert found == ["credentials", "stacks", "releases"]


def test_the_bootstrap_that_is_asked_for_is_what_the_assemblies_require(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    directory = tmp_path_factory.mktemp("versions")
    synthesize(directory, [DEV], {"env": "dev"})
    found = [file.read_text() for file in directory.glob("assembly-dev/manifest.json")]

    assert f'"requiresBootstrapStackVersion": {checks.BOOTSTRAP_VERSION}' in found[0]
