"""What `make up` deployed, read back over the APIs."""

from __future__ import annotations

import json

import pytest
from taskfleet.contract import names, parameters
from taskfleet.contract.manifest import ReleaseManifest

from infra.settings import Pool
from tests.fleet.deployed import Deployed, wait_until
from tests.support.reference import LOCAL

POOLS = pytest.mark.parametrize("pool", LOCAL.pools, ids=lambda pool: pool.name)


def test_all_stacks_are_there(fleet: Deployed) -> None:
    stacks = fleet.client("cloudformation").describe_stacks()["Stacks"]
    status = {stack["StackName"]: stack["StackStatus"] for stack in stacks}
    for name in (names.stack("local", part) for part in (*names.LONG_LIVED, "release-live")):
        # An update that was rolled back, by another test, leaves a whole stack too.
        assert status[name] in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")


@POOLS
def test_a_pool_runs_and_its_fallback_sleeps_again_after_its_gate(fleet: Deployed, pool: Pool) -> None:
    assert fleet.services()[names.service(pool.name, "live")].running >= pool.min_workers
    took = fleet.fleet_json("release", "show", "live")["gate_took"]
    assert set(took) >= {"primary", "fallback"}
    asleep = (pool.warm_fallback_workers, pool.warm_fallback_workers)

    def sleeps() -> bool:
        service = fleet.services()[names.service(pool.name, "live", fallback=True)]
        return (service.desired, service.running) == asleep

    wait_until(sleeps, 120, "its workers on SQS sleep")


@POOLS
def test_each_queue_has_its_twin_and_a_place_for_dead_letters(fleet: Deployed, pool: Pool) -> None:
    sqs = fleet.client("sqs")
    for queue in pool.queues:
        twin = sqs.get_queue_url(QueueName=names.fallback_queue("local", queue, "live"))["QueueUrl"]
        policy = sqs.get_queue_attributes(QueueUrl=twin, AttributeNames=["All"])["Attributes"][
            "RedrivePolicy"
        ]
        assert names.dead_letter_queue("local", queue) in policy


def test_the_manifest_says_what_the_settings_say(fleet: Deployed) -> None:
    name = parameters.release_manifest("local", "live")
    text = fleet.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    manifest = ReleaseManifest.from_json(text)
    assert {pool.name: pool.queues for pool in manifest.pools} == {
        pool.name: pool.queues for pool in LOCAL.pools
    }


def test_no_container_has_a_secret_in_its_environment(fleet: Deployed) -> None:
    secret = fleet.client("secretsmanager").get_secret_value(SecretId=names.broker_secret("local"))
    password = json.loads(secret["SecretString"])["password"]
    ecs = fleet.client("ecs")
    for arn in ecs.list_task_definitions()["taskDefinitionArns"]:
        task = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        for container in task["containerDefinitions"]:
            values = [variable["value"] for variable in container.get("environment", [])]
            assert not [value for value in values if password in value]


def test_a_second_up_finds_everything_there(fleet: Deployed) -> None:
    again = fleet.local("up")
    assert again.returncode == 0, again.stdout
    assert fleet.current() == "live"


def test_the_operator_sees_it_well(fleet: Deployed) -> None:
    def well(command: str) -> bool:
        done = fleet.fleet(command)
        print(done.stdout, done.stderr)  # pytest shows it if the test fails
        return done.returncode == 0

    # A test before this one may have left something that heals by itself.
    wait_until(lambda: well("status"), 60, "`fleet status` ends with 0")
    wait_until(lambda: well("doctor"), 60, "`fleet doctor` ends with 0")
    page = fleet.fleet("status").stdout
    for word in ("live", "high", "low", "warehouse"):
        assert word in page
