"""A team's own secrets: who may read and decrypt them, and what ECS is told to read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infra.checks.access import policies, report
from infra.checks.access.authorize import allowed
from infra.checks.access.policies import Policies
from infra.checks.access.resolve import Account
from infra.release_id import runs
from infra.settings import Secret
from local.emulator.calls import Asked
from tests.infra.synthesis import RELEASE, Synthesis, of_type
from tests.infra.variants import KEY, KEY_STATEMENT, MAIL, MIXED, SHOP_DATABASE, STRIPE
from tests.support import reference as environments

STARTS = ["worker-start", "controller-start"]
VIA = {
    SHOP_DATABASE: {"kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com"},
    MAIL: {"kms:ViaService": "ssm.eu-west-1.amazonaws.com"},
}


@pytest.fixture(scope="module")
def account(mixed: Synthesis) -> Account:
    return Account(MIXED.account, MIXED.region, mixed.templates)


@pytest.fixture(scope="module")
def found(account: Account) -> Policies:
    known = policies.of(account, MIXED)
    return replace(known, resource={**known.resource, KEY: (KEY_STATEMENT,)})


def may(found: Policies, who: str, question: Asked) -> bool:
    return allowed(found, who, question, account=MIXED.account, region=MIXED.region)


def test_all_that_ecs_reads_to_start_a_container_is_allowed(account: Account, found: Policies) -> None:
    asked = list(report.at_start(account, MIXED))

    assert report.denied(found, account, asked) == []
    assert {who for who, _ in asked} == set(STARTS)
    assert {one.resource for _, one in asked if one.action == "kms:Decrypt"} == {KEY}


@pytest.mark.parametrize("who", STARTS)
def test_exactly_these_secrets_and_this_key(found: Policies, who: str) -> None:
    for arn, via in VIA.items():
        assert may(found, who, Asked("kms:Decrypt", KEY, via)), arn
    assert not may(found, who, Asked("kms:Decrypt", KEY)), "ECS asks KMS nothing itself"
    assert not may(found, who, Asked("kms:Decrypt", KEY, {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}))
    assert not may(found, who, Asked("kms:Decrypt", f"{KEY[:-1]}0", VIA[MAIL]))
    assert not may(found, who, Asked("secretsmanager:GetSecretValue", f"{STRIPE[:-1]}0"))
    assert not may(found, who, Asked("ssm:GetParameters", f"{MAIL}s"))
    for action, arn in [
        ("secretsmanager:DescribeSecret", STRIPE),
        ("ssm:GetParameterHistory", MAIL),
        ("kms:GenerateDataKey", KEY),
    ]:
        assert not may(found, who, Asked(action, arn, VIA.get(arn, VIA[MAIL])))


@pytest.mark.parametrize("who", ["worker", "beat", "controller", "producer"])
def test_the_code_itself_may_read_none_of_them(found: Policies, who: str) -> None:
    for question in (
        Asked("secretsmanager:GetSecretValue", STRIPE),
        Asked("secretsmanager:GetSecretValue", SHOP_DATABASE),
        Asked("ssm:GetParameters", MAIL),
        Asked("ssm:GetParameter", MAIL),
        *(Asked("kms:Decrypt", KEY, via) for via in VIA.values()),
    ):
        assert not may(found, who, question)


def test_ecs_is_told_the_secret_the_field_and_the_parameter(mixed: Synthesis) -> None:
    for stack in ("fleet", f"release-{RELEASE}"):
        for definition in of_type(mixed.of("dev", stack), "AWS::ECS::TaskDefinition").values():
            assert definition["ContainerDefinitions"][0]["Secrets"] == [
                {"Name": "STRIPE_KEY", "ValueFrom": STRIPE},
                {"Name": "DATABASE_PASSWORD", "ValueFrom": f"{SHOP_DATABASE}:password::"},
                {"Name": "MAIL_TOKEN", "ValueFrom": MAIL},
            ]


def test_a_release_is_another_one_with_another_field_and_the_same_with_another_key() -> None:
    def with_(secret: str | Secret) -> object:
        return runs(replace(environments.DEV, secrets={"TOKEN": secret}))

    assert with_(STRIPE) == with_(Secret(STRIPE)) == with_(Secret(STRIPE, key=KEY))
    assert with_(STRIPE) != with_(Secret(STRIPE, field="token"))
