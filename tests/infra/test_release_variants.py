"""What settings alone can change: another pool, other machines, another image."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from moto.sns.utils import FilterPolicyMatcher
from taskfleet.contract import images, names
from taskfleet.contract.manifest import ReleaseManifest
from taskfleet.errors import SettingsError

from infra.release_id import default_release_id
from infra.settings import Architecture, Execution, Image, Pool
from tests.infra.synthesis import RELEASE, Synthesis, of_type, only, synthesize, task, written
from tests.infra.variants import DIGEST, GIVEN, MIXED
from tests.support import reference as environments


def service(synthesis: Synthesis, name: str) -> dict[str, Any]:
    found = of_type(synthesis.of("dev", f"release-{RELEASE}"), "AWS::ECS::Service").values()
    return next(one for one in found if one["ServiceName"] == name)


def flat(value: Any) -> str:
    """A string that CloudFormation joins, in an ordinary partition of AWS."""
    if isinstance(value, str):
        return value
    if "Ref" in value:
        return {"AWS::URLSuffix": "amazonaws.com", "AWS::Partition": "aws"}[value["Ref"]]
    separator, parts = value["Fn::Join"]
    return str(separator).join(flat(part) for part in parts)


def test_alarms_link_the_teams_own_pages(mixed: Synthesis) -> None:
    for stack in ("fleet", f"release-{RELEASE}"):
        alarms = of_type(mixed.of("dev", stack), "AWS::CloudWatch::Alarm").values()
        assert alarms
        for alarm in alarms:
            assert " See https://example.com/book/" in alarm["AlarmDescription"]


def test_a_gevent_pool_is_settings_only(mixed: Synthesis) -> None:
    given = {v["Name"]: v["Value"] for v in task(mixed, "web-r1")["ContainerDefinitions"][0]["Environment"]}

    assert (given["TASKFLEET_EXECUTION"], given["TASKFLEET_CONCURRENCY"]) == ("gevent", "100")
    assert given["TASKFLEET_QUEUES"] == "mail"


def test_spot_has_a_base_on_fargate(mixed: Synthesis) -> None:
    low = service(mixed, "low-r1")

    assert "LaunchType" not in low
    assert low["CapacityProviderStrategy"] == [
        {"Base": 2, "CapacityProvider": "FARGATE", "Weight": 1},
        {"CapacityProvider": "FARGATE_SPOT", "Weight": 4},
    ]


def test_ec2_runs_behind_a_capacity_provider_of_the_cluster(mixed: Synthesis) -> None:
    fleet = mixed.of("dev", "fleet")
    provider = only(fleet, "AWS::ECS::CapacityProvider")
    group = only(fleet, "AWS::AutoScaling::AutoScalingGroup")
    attached = only(fleet, "AWS::ECS::ClusterCapacityProviderAssociations")["CapacityProviders"]

    assert provider["Name"] == names.capacity_provider("dev", "big")
    managed = provider["AutoScalingGroupProvider"]
    assert managed["ManagedScaling"]["Status"] == "ENABLED"
    assert managed["ManagedTerminationProtection"] == "ENABLED"
    assert managed["ManagedDraining"] == "ENABLED"
    assert group["NewInstancesProtectedFromScaleIn"] is True
    assert {"FARGATE", "FARGATE_SPOT"} <= {name for name in attached if isinstance(name, str)}
    assert len(attached) == 3
    assert service(mixed, "big-r1")["CapacityProviderStrategy"] == [
        {"CapacityProvider": names.capacity_provider("dev", "big"), "Weight": 1}
    ]
    assert task(mixed, "big-r1")["RequiresCompatibilities"] == ["EC2"]


def test_instances_are_encrypted_and_their_metadata_is_out_of_the_containers_reach(mixed: Synthesis) -> None:
    data = only(mixed.of("dev", "fleet"), "AWS::EC2::LaunchTemplate")["LaunchTemplateData"]

    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
    assert data["InstanceType"] == "m7i.large"
    # Without it an instance starts and never joins.
    assert "echo ECS_CLUSTER=" in json.dumps(data["UserData"])


def test_a_pool_that_may_scale_to_zero_does_not_alarm_for_having_no_worker(mixed: Synthesis) -> None:
    alarms = of_type(mixed.of("dev", f"release-{RELEASE}"), "AWS::CloudWatch::Alarm").values()
    watched = {alarm["AlarmName"] for alarm in alarms}

    assert names.alarm("dev", "no-worker", "big", RELEASE) not in watched
    assert names.alarm("dev", "no-worker", "low", RELEASE) in watched


def test_x86_is_one_setting(mixed: Synthesis) -> None:
    assert task(mixed, "high-r1")["RuntimePlatform"]["CpuArchitecture"] == "X86_64"


def test_a_warm_fallback_is_never_put_to_sleep(mixed: Synthesis) -> None:
    template = mixed.of("dev", f"release-{RELEASE}")
    targets = of_type(template, "AWS::ApplicationAutoScaling::ScalableTarget").values()
    (warm,) = [t for t in targets if t["ResourceId"].endswith("/high-r1-fallback")]

    assert service(mixed, "high-r1-fallback")["DesiredCount"] == 1
    assert (warm["MinCapacity"], warm["MaxCapacity"]) == (1, 4)


def test_a_given_image_is_pinned_by_its_digest_everywhere(mixed: Synthesis) -> None:
    image = f"{GIVEN.uri}@{DIGEST}"
    for stack in ("fleet", f"release-{RELEASE}"):
        for one in of_type(mixed.of("dev", stack), "AWS::ECS::TaskDefinition").values():
            assert flat(one["ContainerDefinitions"][0]["Image"]) == image
    manifest = written(mixed.of("dev", f"release-{RELEASE}"), "dev")
    assert ReleaseManifest.from_json(manifest).image == image
    for file in mixed.directory.glob("assembly-dev/*.assets.json"):
        assert not json.loads(file.read_text())["dockerImages"]


def test_ecs_may_pull_a_given_image_of_the_accounts_own_registry(mixed: Synthesis) -> None:
    for stack, count in (("fleet", 1), (f"release-{RELEASE}", 1)):
        policies = of_type(mixed.of("dev", stack), "AWS::IAM::Policy").values()
        pulls = [
            statement
            for policy in policies
            for statement in policy["PolicyDocument"]["Statement"]
            if "ecr:BatchGetImage" in statement["Action"]
        ]
        assert len(pulls) == count
        for pull in pulls:
            assert pull["Resource"] == "arn:aws:ecr:eu-west-1:111111111111:repository/shop"


def test_the_teams_variables_and_secrets_reach_every_container(mixed: Synthesis) -> None:
    for stack in ("fleet", f"release-{RELEASE}"):
        for one in of_type(mixed.of("dev", stack), "AWS::ECS::TaskDefinition").values():
            container = one["ContainerDefinitions"][0]
            assert {"Name": "SHOP", "Value": "7"} in container["Environment"]
            assert {one["Name"] for one in container["Secrets"]} == MIXED.secrets.keys()


def test_a_person_is_mailed(mixed: Synthesis) -> None:
    subscription = only(mixed.of("dev", "fleet"), "AWS::SNS::Subscription")

    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "oncall@example.com")


@pytest.mark.parametrize(
    ("before", "after", "mailed"),
    [
        ("OK", "ALARM", True),
        ("INSUFFICIENT_DATA", "ALARM", True),
        ("ALARM", "OK", True),
        ("INSUFFICIENT_DATA", "OK", False),  # every alarm of a new release, once
    ],
)
def test_a_person_is_mailed_when_an_alarm_goes_off_or_ends_and_not_for_a_new_one(
    mixed: Synthesis, before: str, after: str, mailed: bool
) -> None:
    subscription = only(mixed.of("dev", "fleet"), "AWS::SNS::Subscription")
    message = {"AlarmName": "taskfleet-dev-no-worker-low-r1", "OldStateValue": before, "NewStateValue": after}

    # Of attributes: moto's matcher reads no `$or` of a body.
    attributes = {name: {"Type": "String", "Value": value} for name, value in message.items()}
    matcher = FilterPolicyMatcher(subscription["FilterPolicy"], "MessageAttributes")

    assert subscription["FilterPolicyScope"] == "MessageBody"
    assert matcher.matches(attributes, "") is mailed


def test_a_manifest_that_ssm_would_refuse_is_refused_here(tmp_path: Path) -> None:
    pools = tuple(
        Pool(name=f"stage_number_{n}", queues=tuple(f"queue_of_stage_{n}_{i}" for i in range(4)))
        for n in range(25)
    )
    many = replace(environments.DEV, pools=(*environments.DEV.pools, *pools))

    with pytest.raises(SettingsError, match="4096"):
        synthesize(tmp_path, settings=[many], context={"env": "dev"})


def local_images(synthesis: Synthesis) -> set[str]:
    return {
        json.dumps(one["ContainerDefinitions"][0]["Image"])
        for stack in ("fleet", f"release-{RELEASE}")
        for one in of_type(synthesis.of("local", stack), "AWS::ECS::TaskDefinition").values()
    }


def test_on_this_machine_the_image_is_a_zip_in_the_accounts_bucket(blueprint: Synthesis) -> None:
    (image,) = local_images(blueprint)

    assert images.LOCAL_REGISTRY in image
    assert "cdk-hnb659fds-assets-" in image
    assert ".zip" in image


def test_on_this_machine_it_may_be_the_work_tree(tmp_path: Path) -> None:
    live = synthesize(tmp_path, settings=[environments.LOCAL], context={"env": "local", "live": "true"})

    assert local_images(live) == {json.dumps(images.LIVE)}
    assert not list(tmp_path.rglob("asset.*/taskfleet"))


def test_in_aws_the_image_is_built_from_the_source_for_its_processor(blueprint: Synthesis) -> None:
    (asset,) = [
        asset
        for file in blueprint.directory.glob("assembly-prod/*release*.assets.json")
        for asset in json.loads(file.read_text())["dockerImages"].values()
    ]

    assert asset["source"]["platform"] == "linux/arm64"
    assert asset["source"]["dockerBuildArgs"] == {"BASE": environments.PROD.image.base}


def test_the_same_source_has_the_same_release_id_and_another_has_another(tmp_path: Path) -> None:
    source = tmp_path / "image"
    (source / "src").mkdir(parents=True)
    code = source / "src" / "tasks.py"
    code.write_text("one")
    dev = replace(environments.DEV, image=Image())
    first = default_release_id(dev, source)
    (source / "src" / "__pycache__").mkdir()
    (source / "src" / "__pycache__" / "tasks.cpython-311.pyc").write_bytes(b"compiled")

    assert default_release_id(dev, source) == first
    assert names.check("release", first) == first
    for image in (Image(base="python:3.14-slim"), Image(architecture=Architecture.X86_64)):
        assert default_release_id(replace(dev, image=image), source) != first
    code.write_text("two")
    assert default_release_id(dev, source) != first


HIGH, LOW, *OTHERS = environments.DEV.pools


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"pools": (HIGH, replace(LOW, queues=("low",)), *OTHERS)}, False),
        ({"pools": (HIGH, replace(LOW, queues=("low", "etl", "more")), *OTHERS)}, False),
        ({"pools": (HIGH, replace(LOW, helps=()), *OTHERS)}, False),
        ({"pools": (HIGH, replace(LOW, execution=Execution.THREADS), *OTHERS)}, False),
        ({"pools": (HIGH, replace(LOW, limits=replace(LOW.limits, time_limit_seconds=400)), *OTHERS)}, False),
        ({"default_queue": "high"}, False),
        ({"app": "shop.celery:app"}, False),
        ({"variables": {"SHOP": "7"}}, False),
        ({"before_gate": ("python", "manage.py", "migrate")}, False),
        ({"before_gate_timeout_seconds": 60}, True),
        ({"pools": (replace(HIGH, max_workers=7, memory_mib=4096), LOW, *OTHERS)}, True),
        ({"log_retention_days": 3}, True),
    ],
)
def test_a_release_is_also_where_and_how_its_tasks_run(changes: dict[str, Any], same: bool) -> None:
    dev = replace(environments.DEV, image=GIVEN)

    assert default_release_id(dev).startswith("i")
    assert (default_release_id(replace(dev, **changes)) == default_release_id(dev)) is same
