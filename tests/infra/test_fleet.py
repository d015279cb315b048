"""The fleet stack: what an environment has once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from taskfleet.contract import environment as variables
from taskfleet.contract import metrics, names, parameters, state
from taskfleet.settings import BeatSettings, ControllerSettings

from infra.settings import Settings
from tests.infra.synthesis import RELEASE, Synthesis, Template, of_type, only, synthesize
from tests.support import reference as environments

EVERYWHERE = pytest.mark.parametrize("settings", environments.ALL, ids=lambda settings: settings.name)


def fleet(blueprint: Synthesis, settings: Settings) -> Template:
    return blueprint.of(settings.name, "fleet")


def services(template: Template) -> dict[str, dict[str, Any]]:
    return {service["ServiceName"]: service for service in of_type(template, "AWS::ECS::Service").values()}


def statements(template: Template, role_prefix: str) -> dict[str, dict[str, Any]]:
    """Sid → statement of the policies of the role whose logical id starts so."""
    return {
        statement["Sid"]: statement
        for logical_id, policy in of_type(template, "AWS::IAM::Policy").items()
        if logical_id.startswith(role_prefix)
        for statement in policy["PolicyDocument"]["Statement"]
        if "Sid" in statement
    }


@EVERYWHERE
@pytest.mark.parametrize("name", [names.CONTROLLER_SERVICE, names.beat_service(RELEASE)])
def test_there_is_never_a_second_controller_nor_a_second_beat_of_a_release(
    blueprint: Synthesis, settings: Settings, name: str
) -> None:
    stacks = (fleet(blueprint, settings), blueprint.of(settings.name, f"release-{RELEASE}"))
    (service,) = (services(one)[name] for one in stacks if name in services(one))

    assert service["DesiredCount"] == 1
    assert service["DeploymentConfiguration"]["MaximumPercent"] == 100
    assert service["DeploymentConfiguration"]["MinimumHealthyPercent"] == 0
    assert service["AvailabilityZoneRebalancing"] == "DISABLED"


@EVERYWHERE
def test_each_queue_has_a_dead_letter_queue_that_keeps_for_as_long_as_sqs_can(
    blueprint: Synthesis, settings: Settings
) -> None:
    dead = {q["QueueName"]: q for q in of_type(fleet(blueprint, settings), "AWS::SQS::Queue").values()}

    assert set(dead) == {
        names.dead_letter_queue(settings.name, queue) for pool in settings.pools for queue in pool.queues
    }
    for queue in dead.values():
        assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600
        assert "KmsMasterKeyId" in queue


@EVERYWHERE
def test_nothing_that_holds_data_goes_with_its_stack_where_data_is_kept(
    blueprint: Synthesis, settings: Settings
) -> None:
    policy = "RetainExceptOnCreate" if settings.keep_data else "Delete"
    holds_data = [
        resource
        for resource in fleet(blueprint, settings)["Resources"].values()
        if resource["Type"] in {"AWS::DynamoDB::Table", "AWS::SQS::Queue"}
    ]

    assert holds_data
    assert {resource["DeletionPolicy"] for resource in holds_data} == {policy}
    for table in of_type(fleet(blueprint, settings), "AWS::DynamoDB::Table").values():
        assert table["DeletionProtectionEnabled"] is settings.keep_data


def test_cloudwatch_may_publish_to_the_encrypted_topic_and_only_over_tls(blueprint: Synthesis) -> None:
    template = blueprint.of("prod", "fleet")
    topic = only(template, "AWS::SNS::Topic")
    policy = only(template, "AWS::SNS::TopicPolicy")["PolicyDocument"]["Statement"]

    assert topic["KmsMasterKeyId"]
    assert any(
        s["Effect"] == "Deny" and s["Condition"] == {"Bool": {"aws:SecureTransport": "false"}} for s in policy
    )
    assert any(
        s["Effect"] == "Allow" and s["Principal"] == {"Service": "cloudwatch.amazonaws.com"} for s in policy
    )
    key = only(blueprint.of("prod", "network"), "AWS::KMS::Key")["KeyPolicy"]["Statement"]
    assert any(
        s["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        and {"kms:Decrypt", "kms:GenerateDataKey"} <= set(s["Action"])
        for s in key
    )


def test_the_cluster_measures_its_containers(blueprint: Synthesis) -> None:
    cluster = only(blueprint.of("prod", "fleet"), "AWS::ECS::Cluster")

    assert {"Name": "containerInsights", "Value": "enabled"} in cluster["ClusterSettings"]


def test_the_controller_gets_exactly_the_variables_that_the_image_requires(blueprint: Synthesis) -> None:
    (container,) = only(blueprint.of("dev", "fleet"), "AWS::ECS::TaskDefinition")["ContainerDefinitions"]

    given = {variable["Name"] for variable in container["Environment"]}
    assert container["Command"][-1] == variables.Role.CONTROLLER
    assert given == ControllerSettings.required()


def test_the_fleet_keeps_a_beat_for_releases_of_the_version_before_if_it_is_told_to(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    place = tmp_path_factory.mktemp("kept")
    context = {"env": "dev", "fleet-beat": "kept"}
    kept = synthesize(place, settings=[environments.DEV], context=context).of("dev", "fleet")
    (container,) = next(
        task["ContainerDefinitions"]
        for task in of_type(kept, "AWS::ECS::TaskDefinition").values()
        if task["Family"] == names.task_family("dev", names.BEAT_SERVICE)
    )
    own = statements(kept, "BeatTaskRole")

    given = {variable["Name"] for variable in container["Environment"]}
    assert given == BeatSettings.required(), "no release"
    assert services(kept)[names.BEAT_SERVICE]["DeploymentConfiguration"]["MaximumPercent"] == 100
    assert own["Tick"]["Condition"]["ForAllValues:StringEquals"]["dynamodb:LeadingKeys"] == [
        state.BEAT,
        state.BEAT_RUNS,
        state.BEAT_TURN,
    ]
    assert own["NothingToDeadLetters"]["Effect"] == "Deny"


def test_the_controller_deletes_what_it_moved_and_our_releases_and_measures_into_one_namespace(
    blueprint: Synthesis,
) -> None:
    allowed = statements(blueprint.of("prod", "fleet"), "ControllerTaskRole")
    actions = {
        action
        for statement in allowed.values()
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }

    # What it has moved from SQS into the store, it deletes there; and a parked one that a worker took.
    assert {action for action in actions if action.split(":")[1].startswith(("Delete", "Create", "*"))} == {
        "cloudformation:DeleteStack",
        "dynamodb:DeleteItem",
        "sqs:DeleteMessage",
    }
    assert allowed["KeepDeadLetters"]["Resource"].endswith(f":table/{names.dead_letters_table('prod')}")
    deletes = allowed["DeleteReleases"]
    assert f":stack/{names.release_stack_prefix('prod')}" in json.dumps(deletes["Resource"])
    assert deletes["Condition"]["StringEquals"] == {
        f"aws:ResourceTag/{key}": value for key, value in names.stack_tags("prod").items()
    }
    measure = allowed["Measure"]
    assert measure["Condition"] == {"StringEquals": {"cloudwatch:namespace": metrics.NAMESPACE}}
    pointer = {parameters.current_release("prod"), parameters.canary_release("prod")}
    assert {arn.partition(":parameter")[2] for arn in allowed["Point"]["Resource"]} == pointer
    assert allowed["Services"]["Resource"].endswith(f":service/{names.cluster('prod')}/*")


def test_beat_may_write_its_tick_and_nothing_else_of_the_state(blueprint: Synthesis) -> None:
    allowed = statements(blueprint.of("prod", f"release-{RELEASE}"), "BeatTaskRole")

    own = [state.BEAT, state.BEAT_RUNS, state.BEAT_TURN, state.gate_beat(RELEASE)]
    tick = allowed["Tick"]
    # To any release's: a far ETA goes where it is bound to. Dead letters are denied.
    assert allowed["Publish"]["Resource"].endswith(f":{names.fallback_prefix('prod')}*")
    assert allowed["NothingToDeadLetters"]["Effect"] == "Deny"
    assert tick["Condition"] == {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": own}}


def test_the_base_tells_the_releases_all_that_the_contract_promises(blueprint: Synthesis) -> None:
    published = {
        properties["Name"]
        for stack in ("network", "broker", "fleet")
        for properties in of_type(blueprint.of("prod", stack), "AWS::SSM::Parameter").values()
    }

    assert published == {parameters.base("prod", name) for name in parameters.BASE}


def test_the_pointer_is_nobodys_resource(blueprint: Synthesis) -> None:
    """CloudFormation would set it back to what it was at the first deploy."""
    named = {p["Properties"].get("Name") for _, _, p in blueprint.resources("AWS::SSM::Parameter")}

    assert parameters.current_release("prod") not in named


def test_the_dashboard_searches_for_metrics_that_exist(blueprint: Synthesis) -> None:
    board = only(blueprint.of("prod", "fleet"), "AWS::CloudWatch::Dashboard")
    widgets = [w for w in json.loads(board["DashboardBody"])["widgets"] if w["type"] == "metric"]
    lines = [line for w in widgets for line in w["properties"]["metrics"]]
    searches = [line[0]["expression"] for line in lines if isinstance(line[0], dict)]

    assert board["DashboardName"] == names.dashboard("prod", "eu-west-1")
    assert {line[0] for line in lines if not isinstance(line[0], dict)} == {"AWS/ElastiCache"}
    known = {m.name: m for m in (*metrics.METRICS, *metrics.WORKER_METRICS, metrics.TASKS_EXPIRED)}
    shown = {name for name in known for search in searches if f'MetricName="{name}"' in search}
    for search in searches:
        (name,) = [name for name in known if f'MetricName="{name}"' in search]
        assert "{" + ",".join((metrics.NAMESPACE, *known[name].dimensions)) + "}" in search
        assert f'{metrics.ENVIRONMENT}="prod"' in search
    # The three questions: load, run time, wait.
    assert {"Waiting", "CapacityGap", "TaskRuntime", "OldestAge", "TaskWait"} <= shown


def test_the_dashboard_fits_on_a_screen(blueprint: Synthesis) -> None:
    board = only(blueprint.of("prod", "fleet"), "AWS::CloudWatch::Dashboard")
    widgets = json.loads(board["DashboardBody"])["widgets"]

    assert max(w["y"] + w["height"] for w in widgets) <= 24  # units of the grid: 24 wide, as high as wide


@EVERYWHERE
def test_a_controller_that_is_not_there_yet_is_not_silent(blueprint: Synthesis, settings: Settings) -> None:
    resources = fleet(blueprint, settings)["Resources"]
    controller = next(
        logical_id
        for logical_id, service in of_type(fleet(blueprint, settings), "AWS::ECS::Service").items()
        if service["ServiceName"] == names.CONTROLLER_SERVICE
    )
    alarm = next(
        resource
        for resource in resources.values()
        if resource.get("Properties", {}).get("AlarmName") == names.alarm(settings.name, "controller-silent")
    )

    assert controller in alarm["DependsOn"]
