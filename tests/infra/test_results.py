"""A result backend of the environment's own: the table, who may use it, and who is given its address."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from celery.backends import dynamodb
from taskfleet.contract import environment as env
from taskfleet.contract import names, results
from taskfleet.contract import parameters as parameters_of

from infra.checks.access import policies
from infra.settings import Results
from tests.infra.synthesis import RELEASE, Synthesis, Template, managed_policy, of_type, only, synthesize
from tests.infra.test_tables import allowed, statements, tables
from tests.infra.variants import EXISTING
from tests.support import reference as environments

BACKEND = env.RESULT_BACKEND.name
TABLE = f':table/{names.results_table("prod")}"'


@pytest.fixture(scope="module")
def with_results(tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    settings = replace(environments.PROD, results=Results(expires_seconds=600))
    return synthesize(tmp_path_factory.mktemp("results"), [settings])


def test_results_have_a_table_whose_items_expire(with_results: Synthesis) -> None:
    table = tables(with_results)[names.results_table("prod")]

    assert table["KeySchema"] == [{"AttributeName": results.KEY, "KeyType": "HASH"}]
    assert table["TimeToLiveSpecification"] == {"AttributeName": results.EXPIRES, "Enabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"


def workers(template: Template) -> list[dict[str, Any]]:
    """The containers of a release's workers."""
    found = [t["ContainerDefinitions"][0] for t in of_type(template, "AWS::ECS::TaskDefinition").values()]
    return [container for container in found if container["Command"][-1] == "worker"]


def test_every_worker_has_the_backend_and_producers_are_shown_it(with_results: Synthesis) -> None:
    url = f"dynamodb://@{environments.PROD.region}/{names.results_table('prod')}?ttl_seconds=600"

    for container in workers(with_results.of("prod", f"release-{RELEASE}")):
        assert {"Name": BACKEND, "Value": url} in container["Environment"]
    assert shown(with_results) == url


def test_workers_and_producers_may_do_what_celerys_backend_does_and_no_more(with_results: Synthesis) -> None:
    called = set(re.findall(r"client\.(\w+)\(", inspect.getsource(dynamodb.DynamoDBBackend)))
    used = {f"dynamodb:{_camel(name)}" for name in called - {"create_table", "update_time_to_live"}}
    policy = managed_policy(with_results.of("prod", "fleet"), names.producer_policy("prod", "eu-west-1"))

    assert allowed(statements(with_results.of("prod", f"release-{RELEASE}"), ""), TABLE) == used
    counts = {"dynamodb:UpdateItem"}  # the header tasks of a chord, in workers only
    assert allowed(policy["PolicyDocument"]["Statement"], TABLE) == used - counts


def test_without_the_setting_there_is_nothing_of_it(blueprint: Synthesis) -> None:
    directory = Path(blueprint.directory) / "assembly-prod"

    assert shown(blueprint) == results.NONE
    assert not [file for file in directory.rglob("*.template.json") if BACKEND in file.read_text()]
    assert not [
        file for file in directory.rglob("*.template.json") if "taskfleet-prod-results" in file.read_text()
    ]


CACHED = EXISTING  # two nodes, in an existing VPC


def test_a_cache_is_a_group_of_its_own_with_a_password_of_its_own(variants: Synthesis) -> None:
    fleet, cache = variants.of(CACHED.name, "fleet"), CACHED.results_cache
    assert cache is not None
    group = only(fleet, "AWS::ElastiCache::ReplicationGroup")
    broker = only(variants.of(CACHED.name, "broker"), "AWS::ElastiCache::ReplicationGroup")

    assert group["ReplicationGroupId"] == names.results_cache(CACHED.name) != broker["ReplicationGroupId"]
    assert len(names.results_cache("a" * 12)) <= 40  # ElastiCache, with the longest name of an environment
    assert group["NumCacheClusters"] == cache.nodes == 2
    assert group["AutomaticFailoverEnabled"] is group["MultiAZEnabled"] is True
    assert group["TransitEncryptionEnabled"] is group["AtRestEncryptionEnabled"] is True
    assert group["TransitEncryptionMode"] == "required"
    assert ":SecretString:password::}}" in json.dumps(group["AuthToken"])
    assert json.dumps(group["AuthToken"]) != json.dumps(broker["AuthToken"])
    assert only(fleet, "AWS::SecretsManager::Secret")["Name"] == names.results_secret(CACHED.name)


def test_a_full_cache_forgets_the_oldest_and_a_full_broker_refuses(variants: Synthesis) -> None:
    full = {
        stack: only(variants.of(CACHED.name, stack), "AWS::ElastiCache::ParameterGroup")["Properties"]
        for stack in ("broker", "fleet")
    }

    assert full == {
        "broker": {"maxmemory-policy": "noeviction"},
        "fleet": {"maxmemory-policy": "volatile-ttl"},
    }
    group = only(variants.of(CACHED.name, "broker"), "AWS::ElastiCache::ReplicationGroup")
    parameters = of_type(variants.of(CACHED.name, "broker"), "AWS::ElastiCache::ParameterGroup")
    assert group["CacheParameterGroupName"] == {"Ref": next(iter(parameters))}


def test_its_url_names_where_the_password_is_read_and_every_worker_has_it(variants: Synthesis) -> None:
    of = variants.account(CACHED)
    host = f"{names.stack(CACHED.name, 'fleet')}-ResultsCacheReplicationGroup"
    expected = re.compile(
        rf"rediss://{host}\w+-PrimaryEndPoint.Address:{host}\w+-PrimaryEndPoint.Port/0\?ssl_cert_reqs=required"
        r"&credential_provider=taskfleet.brokers.credentials:results"
    )
    stack = names.stack(CACHED.name, f"release-{RELEASE}")

    for container in workers(variants.of(CACHED.name, f"release-{RELEASE}")):
        (given,) = [one["Value"] for one in container["Environment"] if one["Name"] == BACKEND]
        assert expected.fullmatch(of.value(given, stack))
    assert expected.fullmatch(of.published(parameters_of.base(CACHED.name, "result-backend")))


def test_who_may_read_its_password_is_who_uses_results_and_who_rotates_it(variants: Synthesis) -> None:
    of = variants.account(CACHED)
    where = f"{CACHED.region}:{CACHED.account}"
    secret = f"arn:aws:secretsmanager:{where}:secret:{names.results_secret(CACHED.name)}-AbCdEf"
    may = {
        who
        for who, statements in policies.of(of, CACHED).identity.items()
        for statement in statements
        if secret in statement["Resource"] and "secretsmanager:GetSecretValue" in statement["Action"]
    }

    assert may == {policies.WORKER, policies.PRODUCER, policies.OPERATOR}


def shown(synthesis: Synthesis) -> object:
    """What producers are shown as the result backend."""
    found = of_type(synthesis.of("prod", "fleet"), "AWS::SSM::Parameter").values()
    wanted = parameters_of.base("prod", "result-backend")
    (value,) = [each["Value"] for each in found if each["Name"] == wanted]
    return value


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
