"""A result backend of the environment's own: the table, who may use it, and who is given its address."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from pathlib import Path

import pytest
from celery.backends import dynamodb
from taskfleet.contract import environment as env
from taskfleet.contract import names, parameters, results

from infra.settings import Results
from tests.infra.synthesis import RELEASE, Synthesis, managed_policy, of_type, synthesize
from tests.infra.test_tables import allowed, statements, tables
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


def test_every_worker_has_the_backend_and_producers_are_shown_it(with_results: Synthesis) -> None:
    url = f"dynamodb://@{environments.PROD.region}/{names.results_table('prod')}?ttl_seconds=600"
    tasks = of_type(with_results.of("prod", f"release-{RELEASE}"), "AWS::ECS::TaskDefinition")

    for task in tasks.values():
        (container,) = task["ContainerDefinitions"]
        assert {"Name": BACKEND, "Value": url} in container["Environment"]
    assert shown(with_results) == url


def test_workers_and_producers_may_do_what_celerys_backend_does_and_no_more(with_results: Synthesis) -> None:
    called = set(re.findall(r"client\.(\w+)\(", inspect.getsource(dynamodb.DynamoDBBackend)))
    used = {f"dynamodb:{_camel(name)}" for name in called - {"create_table", "update_time_to_live"}}
    policy = managed_policy(with_results.of("prod", "fleet"), names.producer_policy("prod"))

    assert allowed(statements(with_results.of("prod", f"release-{RELEASE}"), ""), TABLE) == used
    counts = {"dynamodb:UpdateItem"}  # the header tasks of a chord, in workers only
    assert allowed(policy["PolicyDocument"]["Statement"], TABLE) == used - counts


def test_without_the_setting_there_is_nothing_of_it(blueprint: Synthesis) -> None:
    directory = Path(blueprint.directory)

    assert shown(blueprint) == results.NONE
    assert not [file for file in directory.rglob("*.template.json") if BACKEND in file.read_text()]
    assert not [file for file in directory.rglob("*.template.json") if "-results" in file.read_text()]


def shown(synthesis: Synthesis) -> object:
    """What producers are shown as the result backend."""
    found = of_type(synthesis.of("prod", "fleet"), "AWS::SSM::Parameter").values()
    wanted = parameters.base("prod", "result-backend")
    (value,) = [each["Value"] for each in found if each["Name"] == wanted]
    return value


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
