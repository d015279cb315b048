"""The release stack: pools on two brokers, and nothing that ties it to the base or to another release."""

from __future__ import annotations

import json
from typing import Any

import pytest
from taskfleet.contract import container as contract
from taskfleet.contract import environment as variables
from taskfleet.contract import limits, names, parameters, state
from taskfleet.contract.manifest import ReleaseManifest
from taskfleet.settings import BeatSettings, WorkerSettings
from taskfleet.simulation.engine import Fleet, Load, Service
from taskfleet.simulation.ours import Deployed, Ours

from infra.settings import Settings
from tests.infra.synthesis import RELEASE, Synthesis, Template, of_type, synthesize, written
from tests.support import reference as environments

EVERYWHERE = pytest.mark.parametrize("settings", environments.ALL, ids=lambda settings: settings.name)


BEAT = names.beat_service(RELEASE)


def release(blueprint: Synthesis, settings: Settings) -> Template:
    return blueprint.of(settings.name, f"release-{RELEASE}")


def services(template: Template) -> dict[str, dict[str, Any]]:
    return {service["ServiceName"]: service for service in of_type(template, "AWS::ECS::Service").values()}


def containers(template: Template) -> dict[str, dict[str, Any]]:
    """Task family → its one container."""
    return {
        task["Family"]: task["ContainerDefinitions"][0]
        for task in of_type(template, "AWS::ECS::TaskDefinition").values()
    }


def environment(container: dict[str, Any]) -> dict[str, Any]:
    return {variable["Name"]: variable["Value"] for variable in container["Environment"]}


@pytest.fixture(scope="session")
def second(tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    """The same environment with the next release."""
    return synthesize(
        tmp_path_factory.mktemp("second"),
        settings=[environments.DEV],
        context={"release": "r2", "env": "dev"},
    )


@EVERYWHERE
def test_each_pool_has_a_service_on_each_broker(blueprint: Synthesis, settings: Settings) -> None:
    found = services(release(blueprint, settings))

    assert set(found) - {BEAT} == {
        names.service(pool.name, RELEASE, fallback=fallback)
        for pool in settings.pools
        for fallback in (False, True)
    }
    for pool in settings.pools:
        # Each update of the stack would set it again, however busy the pool is.
        assert "DesiredCount" not in found[names.service(pool.name, RELEASE)]
        asleep = found[names.service(pool.name, RELEASE, fallback=True)]
        assert asleep["DesiredCount"] == pool.warm_fallback_workers


@EVERYWHERE
def test_a_deployment_that_fails_goes_back_and_never_takes_away_a_healthy_worker(
    blueprint: Synthesis, settings: Settings
) -> None:
    for name, service in services(release(blueprint, settings)).items():
        deployment = service["DeploymentConfiguration"]
        assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
        assert deployment["MinimumHealthyPercent"] == (0 if name == BEAT else 100)
        assert service["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] == "DISABLED"
        assert service["EnableExecuteCommand"] is settings.allows_exec
        assert service["PropagateTags"] == "SERVICE"


@EVERYWHERE
def test_every_container_gets_exactly_the_variables_that_the_image_requires(
    blueprint: Synthesis, settings: Settings
) -> None:
    required = WorkerSettings.required() | {variables.LEASE_SECONDS.name}
    if settings.results is not None:
        required |= {"CELERY_RESULT_BACKEND"}
    beat = BeatSettings.required() | {variables.RELEASE.name}
    for family, container in containers(release(blueprint, settings)).items():
        given = environment(container)
        of_beat = family == names.task_family(settings.name, BEAT)
        assert set(given) == (beat if of_beat else required) | set(settings.variables)
        assert not [name for name in given if "PASSWORD" in name or "TOKEN" in name]


@EVERYWHERE
def test_containers_are_hardened(blueprint: Synthesis, settings: Settings) -> None:
    stops = {
        names.task_family(
            settings.name, names.service(pool.name, RELEASE, fallback=fallback)
        ): pool.limits.stop_timeout_seconds
        for pool in settings.pools
        for fallback in (False, True)
    }
    beat = names.task_family(settings.name, BEAT)
    for family, container in containers(release(blueprint, settings)).items():
        assert container["User"] == contract.USER
        assert container["ReadonlyRootFilesystem"] is True
        assert container["Command"] == list(contract.command("beat" if family == beat else "worker"))
        assert container["HealthCheck"]["Command"] == list(contract.HEALTH_CHECK)
        assert container["LinuxParameters"]["InitProcessEnabled"] is True
        assert container["StopTimeout"] == stops.get(family, 30)
        assert container["LogConfiguration"]["Options"]["mode"] == "non-blocking"
        assert contract.WRITABLE in {mount["ContainerPath"] for mount in container["MountPoints"]}


def test_low_helps_high_and_never_the_reverse(blueprint: Synthesis) -> None:
    queues = {
        (given["TASKFLEET_POOL"], given["TASKFLEET_BROKER"]): given["TASKFLEET_QUEUES"]
        for given in map(environment, containers(blueprint.of("prod", f"release-{RELEASE}")).values())
        if "TASKFLEET_POOL" in given
    }

    assert queues["low", variables.PRIMARY] == "low,etl,high"
    assert queues["high", variables.PRIMARY] == "high"
    # The fallback of `high` has workers of its own: those of `low` are for `low`'s backlog.
    assert queues["low", variables.FALLBACK] == "low,etl"


@EVERYWHERE
def test_each_queue_has_its_twin_on_sqs(blueprint: Synthesis, settings: Settings) -> None:
    template = release(blueprint, settings)
    queues = {queue["QueueName"]: queue for queue in of_type(template, "AWS::SQS::Queue").values()}
    of_pools = {(queue, pool) for pool in settings.pools for queue in pool.queues}

    assert set(queues) == {names.fallback_queue(settings.name, queue, RELEASE) for queue, _ in of_pools}
    for queue, pool in of_pools:
        twin = queues[names.fallback_queue(settings.name, queue, RELEASE)]
        assert twin["VisibilityTimeout"] == pool.limits.fallback_visibility_timeout_seconds
        # More often than any worker lets a message begin, or SQS would take innocent ones first.
        assert twin["RedrivePolicy"]["maxReceiveCount"] == limits.SQS_MAX_RECEIVE_COUNT == 1000
        dead = twin["RedrivePolicy"]["deadLetterTargetArn"]
        assert dead.endswith(f":{names.dead_letter_queue(settings.name, queue)}")
        assert "KmsMasterKeyId" in twin
        # A dead letter keeps its age: it must not be near its end when it arrives.
        assert twin["MessageRetentionPeriod"] < 14 * 24 * 3600
    assert len(of_type(template, "AWS::SQS::QueuePolicy")) == len(queues)
    for policy in of_type(template, "AWS::SQS::QueuePolicy").values():
        (statement,) = policy["PolicyDocument"]["Statement"]
        assert statement["Effect"] == "Deny"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@EVERYWHERE
def test_each_service_has_a_target_with_its_bounds_and_two_policies(
    blueprint: Synthesis, settings: Settings
) -> None:
    template = release(blueprint, settings)
    targets = {
        target["ResourceId"].rpartition("/")[2]: (target["MinCapacity"], target["MaxCapacity"])
        for target in of_type(template, "AWS::ApplicationAutoScaling::ScalableTarget").values()
    }

    assert set(targets) == set(services(template)) - {BEAT}
    for pool in settings.pools:
        assert targets[names.service(pool.name, RELEASE)] == (pool.min_workers, pool.max_workers)
    policies = of_type(template, "AWS::ApplicationAutoScaling::ScalingPolicy")
    assert len(policies) == 5 * len(settings.pools)
    for policy in policies.values():
        assert policy["PolicyType"] == "StepScaling"
        assert policy["StepScalingPolicyConfiguration"]["Cooldown"] >= 0  # unsaid, AWS takes five minutes


@EVERYWHERE
def test_each_scaling_alarm_acts_on_the_policy_of_its_kind(blueprint: Synthesis, settings: Settings) -> None:
    template = release(blueprint, settings)
    policies = of_type(template, "AWS::ApplicationAutoScaling::ScalingPolicy")
    seen = set()
    for alarm in of_type(template, "AWS::CloudWatch::Alarm").values():
        policy = policies.get(alarm["AlarmActions"][-1].get("Ref", ""))
        if policy is not None:
            kind = alarm["AlarmDescription"].rpartition("/")[2].removesuffix(".md")
            pool = _pool_of(alarm, settings)
            fallback = kind.startswith("fallback")
            service = names.service(pool, RELEASE, fallback=fallback)
            assert policy["PolicyName"] == f"{kind}-{service}"
            seen.add((kind, pool))

    kinds = ("scale-out", "scale-in", "fallback-wake", "fallback-sleep", "fallback-unattended")
    assert seen == {(kind, pool.name) for kind in kinds for pool in settings.pools}


def _pool_of(alarm: dict[str, Any], settings: Settings) -> str:
    """The pool that its name says, or the one of the queue that it says."""
    said = alarm["AlarmName"].removesuffix(f"-{RELEASE}").rpartition("-")[2]
    return next(pool.name for pool in settings.pools if said in (pool.name, *pool.queues))


@EVERYWHERE
def test_the_manifest_says_what_was_deployed(blueprint: Synthesis, settings: Settings) -> None:
    template = release(blueprint, settings)
    manifest = ReleaseManifest.from_json(written(template, settings.name))

    assert manifest.release == RELEASE
    assert manifest.drain_deadline_seconds == settings.drain_deadline_seconds
    assert manifest.confirmed == settings.confirmed_queues
    assert [pool.name for pool in manifest.pools] == [pool.name for pool in settings.pools]
    for said, pool in zip(manifest.pools, settings.pools, strict=True):
        assert (said.queues, said.helps, said.slots) == (pool.queues, pool.helps, pool.concurrency)
        assert (said.min_workers, said.max_workers) == (pool.min_workers, pool.max_workers)


def test_the_manifest_is_written_after_everything_else(blueprint: Synthesis) -> None:
    template = blueprint.of("dev", f"release-{RELEASE}")
    (manifest,) = (
        resource
        for resource in template["Resources"].values()
        if resource.get("Properties", {}).get("Name") == parameters.release_manifest("dev", RELEASE)
    )
    services = of_type(template, "AWS::ECS::Service")

    assert set(services) <= set(manifest["DependsOn"])


@EVERYWHERE
def test_a_release_imports_no_export(blueprint: Synthesis, settings: Settings) -> None:
    template = release(blueprint, settings)
    text = json.dumps(template)

    assert "Fn::ImportValue" not in text
    assert "Fn::GetStackOutput" not in text
    assert "Outputs" not in template
    looked_up = {
        p["Default"]
        for p in template["Parameters"].values()
        if p["Type"].startswith("AWS::SSM::Parameter::Value") and "bootstrap" not in p["Default"]
    }
    assert looked_up <= {parameters.base(settings.name, name) for name in parameters.BASE}


def _physical_names(template: Template) -> set[tuple[str, str]]:
    """(type, name) of every resource that has a name of its own."""
    keys = ("ServiceName", "QueueName", "AlarmName", "Family", "LogGroupName", "Name", "RoleName")
    return {
        (resource["Type"], resource["Properties"][key])
        for resource in template["Resources"].values()
        for key in (*keys, "PolicyName", "ResourceId")
        if isinstance(resource.get("Properties", {}).get(key), str)
        # An inline policy's name is its role's business; roles have names that CloudFormation made.
        and resource["Type"] != "AWS::IAM::Policy"
    }


def test_two_releases_have_no_name_in_common(blueprint: Synthesis, second: Synthesis) -> None:
    first = _physical_names(blueprint.of("dev", f"release-{RELEASE}"))
    other = _physical_names(second.of("dev", "release-r2"))

    assert len(first) == len(other) > 50
    assert not first & other


def test_a_worker_may_use_its_own_releases_queues_only(blueprint: Synthesis) -> None:
    policies = of_type(blueprint.of("dev", f"release-{RELEASE}"), "AWS::IAM::Policy")
    statements = {
        statement["Sid"]: statement
        for policy in policies.values()
        for statement in policy["PolicyDocument"]["Statement"]
        if "Sid" in statement
    }

    queues = [queue for pool in environments.DEV.pools for queue in pool.queues]
    assert {arn.rpartition(":")[2] for arn in statements["Consume"]["Resource"]} == {
        names.fallback_queue("dev", queue, RELEASE) for queue in queues
    }
    assert statements["Park"]["Resource"].endswith(f":table/{names.dead_letters_table('dev')}")
    assert "sqs:ReceiveMessage" not in statements["Park"]["Action"]
    gates = statements["ProveGates"]["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
    assert gates in (state.GATES, [state.GATES])
    assert state.gate("high.r1", "primary").startswith(state.GATES.removesuffix("*"))


def test_nothing_starts_before_it_may_pull_its_image(blueprint: Synthesis) -> None:
    template = blueprint.of("dev", f"release-{RELEASE}")
    execution = {
        logical_id
        for logical_id in of_type(template, "AWS::IAM::Policy")
        if logical_id.startswith("ExecutionRole")
    }
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::ECS::Service":
            assert execution <= set(resource["DependsOn"])


def _needs(template: Template, logical_id: str) -> set[str]:
    """The resources that CloudFormation makes before this one, those they need included."""
    found: set[str] = set()
    left = [logical_id]
    while left:
        resource = template["Resources"][left.pop()]
        text = json.dumps(resource)
        after = resource.get("DependsOn", [])
        named = {one for one in template["Resources"] if f'"{one}"' in text or f"${{{one}" in text}
        new = (named | set([after] if isinstance(after, str) else after)) - found
        found |= new
        left += new
    return found - {logical_id}


@EVERYWHERE
def test_a_deploy_waits_for_its_gate_when_all_else_exists(blueprint: Synthesis, settings: Settings) -> None:
    template = release(blueprint, settings)
    (condition,) = (
        one for one, r in template["Resources"].items() if r["Type"] == "AWS::CloudFormation::WaitCondition"
    )
    # What failed after the answer would take a release away that is current.
    assert _needs(template, condition) == template["Resources"].keys() - {condition}
    manifest, url = (
        next(one for one, p in of_type(template, "AWS::SSM::Parameter").items() if p["Name"] == name)
        for name in (
            parameters.release_manifest(settings.name, RELEASE),
            parameters.release_answer(settings.name, RELEASE),
        )
    )
    # The controller looks at a release when its manifest exists, and must then know where to answer.
    assert url in _needs(template, manifest)
    assert condition not in _needs(template, manifest)


@EVERYWHERE
def test_the_simulator_runs_the_alarms_and_policies_that_are_deployed(
    blueprint: Synthesis, settings: Settings
) -> None:
    template = release(blueprint, settings)
    policies = of_type(template, "AWS::ApplicationAutoScaling::ScalingPolicy")
    alarms = of_type(template, "AWS::CloudWatch::Alarm")
    for pool in settings.pools:
        service = Service(min_workers=pool.min_workers, max_workers=pool.max_workers)
        deployed = Deployed(
            scale_out_after_seconds=pool.scale_out_after_seconds,
            scale_in_after_seconds=pool.scale_in_after_seconds,
        )
        for alarm, policy, threshold in Ours(
            Fleet(Load(at=[], run=[], seconds=1), service, 1), deployed
        ).alarms:
            name = f"{policy.name}-{names.service(pool.name, RELEASE)}"
            (found,) = (each for each in policies.items() if each[1]["PolicyName"] == name)
            said = found[1]["StepScalingPolicyConfiguration"]
            assert (said["Cooldown"], said["MetricAggregationType"]) == (
                policy.cooldown_seconds,
                policy.aggregation,
            )
            assert [
                (
                    step.get("MetricIntervalLowerBound"),
                    step.get("MetricIntervalUpperBound"),
                    step["ScalingAdjustment"],
                )
                for step in said["StepAdjustments"]
            ] == [(step.lower, step.upper, step.adjustment) for step in policy.steps]
            (watch,) = (each for each in alarms.values() if each["AlarmActions"] == [{"Ref": found[0]}])
            assert (watch["Threshold"], watch["Period"], watch["TreatMissingData"]) == (
                threshold,
                10,
                "notBreaching",
            )
            assert watch["EvaluationPeriods"] == watch["DatapointsToAlarm"] == alarm.periods
