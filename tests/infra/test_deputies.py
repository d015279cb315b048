"""Nobody else's work is done with this account's permissions: services, keys, dead letters, instances."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from taskfleet.contract import container, names

from infra.checks.access import bootstrap, policies
from infra.checks.access.policies import BEAT, CONTROLLER, WORKER
from infra.settings import Settings
from tests.infra.synthesis import RELEASE, Synthesis, of_type, task
from tests.infra.variants import MIXED, VARIANTS
from tests.support import reference as environments

EVERYWHERE = pytest.mark.parametrize("settings", environments.ALL, ids=lambda settings: settings.name)

# These don't say for whom they ask (IAM user guide, "The confused deputy problem"): a role is handed to them
# by iam:PassRole, which never crosses accounts.
SILENT = {"ec2.amazonaws.com", "lambda.amazonaws.com"}


def statements(synthesis: Synthesis, *types: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for stack, logical_id, resource in synthesis.resources():
        if resource["Type"] in types:
            for document in ("AssumeRolePolicyDocument", "KeyPolicy", "PolicyDocument"):
                for one in resource["Properties"].get(document, {}).get("Statement", []):
                    yield f"{stack} {logical_id}", one


def services(statement: dict[str, Any]) -> set[str]:
    principal = statement.get("Principal", {})
    named = principal.get("Service", []) if isinstance(principal, dict) else []
    return {named} if isinstance(named, str) else {json.dumps(one).strip('"') for one in named}


def test_a_service_may_act_here_only_for_this_account(blueprint: Synthesis, mixed: Synthesis) -> None:
    types = ("AWS::IAM::Role", "AWS::KMS::Key", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy")
    checked = set()
    for synthesis in (blueprint, mixed):
        for where, statement in statements(synthesis, *types):
            for service in services(statement) - SILENT:
                checked.add(service.partition(".")[0])
                condition = json.dumps(statement.get("Condition", {}))
                # CloudWatch Logs gives the log group as the encryption context, which holds the account.
                assert "aws:SourceAccount" in condition or "aws:logs:arn" in condition, f"{where}: {service}"
    assert {"ecs-tasks", "vpc-flow-logs", "logs", "cloudwatch"} <= checked


@EVERYWHERE
def test_the_key_is_used_through_the_services_that_hold_the_data(
    blueprint: Synthesis, settings: Settings
) -> None:
    found = [
        one
        for where, one in statements(blueprint, "AWS::IAM::Policy")
        if where.startswith(f"taskfleet-{settings.name}-") and one.get("Sid") == "UseKey"
    ]

    assert len(found) == 3  # workers, beat and the controller
    for one in found:
        assert one["Condition"] == {
            "StringEquals": {
                "kms:ViaService": [
                    f"{service}.{settings.region}.amazonaws.com"
                    for service in ("secretsmanager", "sqs", "dynamodb")
                ]
            }
        }


def test_nobody_else_uses_the_key_but_a_shell_in_a_container(
    blueprint: Synthesis, variants: Synthesis, mixed: Synthesis
) -> None:
    """ECS Exec's agent decrypts its session itself (ECS guide, "Logging for ECS Exec"), where it is on."""
    everywhere = [
        *((blueprint, settings) for settings in environments.ALL),
        *((variants, settings) for settings in VARIANTS),
        (mixed, MIXED),
    ]
    for synthesis, settings in everywhere:
        of = synthesis.account(settings)
        directly = {
            who
            for who, given in policies.of(of, settings).identity.items()
            for one in given
            if who not in bootstrap.ROLES
            and "kms:" in json.dumps(one["Action"])
            and "kms:ViaService" not in json.dumps(one.get("Condition", {}))
        }
        shells = {WORKER, BEAT, CONTROLLER} if settings.allows_exec else set()
        assert {who.partition(" ")[0] for who in directly} == shells, settings.name


def test_who_sends_by_a_pattern_does_not_send_to_dead_letter_queues(blueprint: Synthesis) -> None:
    """The controller, beat, producers and operators. Others send to queues by name, or to none."""
    denied = [
        one
        for where, one in statements(blueprint, "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")
        if where.startswith("taskfleet-prod-") and one["Effect"] == "Deny"
    ]
    dead = [names.dead_letter_queue("prod", q) for pool in environments.PROD.pools for q in pool.queues]

    assert len(denied) == 4
    for one in denied:
        assert one["Action"] == "sqs:SendMessage"
        pattern = one["Resource"].rpartition(":")[2].removesuffix("*")
        assert all(name.startswith(pattern) for name in dead)
        assert not names.fallback_queue("prod", "dead_ends", "r1").startswith(pattern)


def test_a_task_on_an_instance_can_not_ask_for_the_instances_credentials(mixed: Synthesis) -> None:
    (template,) = of_type(mixed.of("dev", "fleet"), "AWS::EC2::LaunchTemplate").values()

    assert "ECS_AWSVPC_BLOCK_IMDS=true" in json.dumps(template["LaunchTemplateData"]["UserData"])


def test_a_task_on_an_instance_is_told_its_region(mixed: Synthesis) -> None:
    def region(service: str) -> list[str]:
        (container_,) = task(mixed, service)["ContainerDefinitions"]
        return [one["Value"] for one in container_["Environment"] if one["Name"] == container.REGION]

    assert region(f"big-{RELEASE}") == [MIXED.region]
    assert region(f"high-{RELEASE}") == []  # there ECS does
