"""The broker stack: what ElastiCache is asked for."""

from __future__ import annotations

import json
import string
from dataclasses import replace

import pytest
from aws_cdk import App
from aws_cdk.assertions import Annotations, Match
from taskfleet.contract import names

from infra.settings import Settings
from infra.stacks.broker import BrokerStack
from tests.infra.synthesis import FLAGS, Synthesis, Template, of_type, only
from tests.support import reference as environments

EVERYWHERE = pytest.mark.parametrize("settings", environments.ALL, ids=lambda settings: settings.name)
GROUP = "AWS::ElastiCache::ReplicationGroup"


def looked_up(template: Template, value: dict[str, str]) -> str:
    """Which value of the stacks before it this is."""
    return str(template["Parameters"][value["Ref"]]["Default"]).rpartition("/")[2]


@EVERYWHERE
def test_the_replication_group_is_what_celery_needs(blueprint: Synthesis, settings: Settings) -> None:
    group = only(blueprint.of(settings.name, "broker"), GROUP)

    assert group["ReplicationGroupId"] == names.broker(settings.name)
    assert len(group["ReplicationGroupId"]) <= 40  # ElastiCache
    assert group["Engine"] == "valkey"
    assert group["NumCacheClusters"] == settings.broker.nodes
    # Cluster mode off: no shards are asked for.
    assert not {"NumNodeGroups", "NodeGroupConfiguration", "ReplicasPerNodeGroup", "ClusterMode"} & set(group)


@EVERYWHERE
def test_it_fails_over_to_another_zone_where_there_is_a_replica(
    blueprint: Synthesis, settings: Settings
) -> None:
    group = only(blueprint.of(settings.name, "broker"), GROUP)

    assert group["AutomaticFailoverEnabled"] is group["MultiAZEnabled"] is (settings.broker.nodes >= 2)


@EVERYWHERE
def test_it_takes_tls_and_the_generated_password_only(blueprint: Synthesis, settings: Settings) -> None:
    template = blueprint.of(settings.name, "broker")
    group = only(template, GROUP)
    token = json.dumps(group["AuthToken"])

    assert group["TransitEncryptionEnabled"] is True
    assert group["TransitEncryptionMode"] == "required"
    assert "{{resolve:secretsmanager:" in token
    assert ":SecretString:password::}}" in token


@EVERYWHERE
def test_the_password_is_one_that_elasticache_and_a_url_accept(
    blueprint: Synthesis, settings: Settings
) -> None:
    secret = only(blueprint.of(settings.name, "broker"), "AWS::SecretsManager::Secret")
    generated = secret["GenerateSecretString"]

    assert secret["Name"] == names.broker_secret(settings.name)
    assert json.loads(generated["SecretStringTemplate"]) == {"username": "default"}
    assert generated["GenerateStringKey"] == "password"
    assert 16 <= generated["PasswordLength"] <= 128
    assert set(generated["ExcludeCharacters"]) == set(string.punctuation)
    assert generated["IncludeSpace"] is False
    assert "KmsKeyId" in secret


@EVERYWHERE
def test_data_at_rest_is_encrypted_with_the_environments_key(
    blueprint: Synthesis, settings: Settings
) -> None:
    group = only(blueprint.of(settings.name, "broker"), GROUP)

    assert group["AtRestEncryptionEnabled"] is True
    assert looked_up(blueprint.of(settings.name, "broker"), group["KmsKeyId"]) == "key-arn"


@EVERYWHERE
def test_a_full_broker_refuses_and_never_evicts(blueprint: Synthesis, settings: Settings) -> None:
    template = blueprint.of(settings.name, "broker")
    (logical_id,) = of_type(template, "AWS::ElastiCache::ParameterGroup")
    parameters = only(template, "AWS::ElastiCache::ParameterGroup")

    assert parameters["CacheParameterGroupFamily"] == "valkey8"
    assert parameters["Properties"] == {"maxmemory-policy": "noeviction"}
    assert only(template, GROUP)["CacheParameterGroupName"] == {"Ref": logical_id}


@EVERYWHERE
def test_only_workers_reach_it_and_on_its_port_alone(blueprint: Synthesis, settings: Settings) -> None:
    template = blueprint.of(settings.name, "broker")
    group = only(template, "AWS::EC2::SecurityGroup")
    rules = [
        *group.get("SecurityGroupIngress", []),
        *of_type(template, "AWS::EC2::SecurityGroupIngress").values(),
    ]

    (rule,) = rules
    assert rule["FromPort"] == rule["ToPort"] == only(template, GROUP)["Port"] == settings.broker.port
    assert looked_up(template, rule["SourceSecurityGroupId"]) == "worker-security-group-id"
    assert "CidrIp" not in rule


@EVERYWHERE
def test_slow_and_engine_logs_go_to_cloudwatch(blueprint: Synthesis, settings: Settings) -> None:
    template = blueprint.of(settings.name, "broker")
    deliveries = only(template, GROUP)["LogDeliveryConfigurations"]
    groups = of_type(template, "AWS::Logs::LogGroup")

    targets = {one["DestinationDetails"]["CloudWatchLogsDetails"]["LogGroup"]["Ref"] for one in deliveries}

    assert {one["LogType"] for one in deliveries} == {"slow-log", "engine-log"}
    assert targets == set(groups)
    assert all(group["RetentionInDays"] == settings.log_retention_days for group in groups.values())


@EVERYWHERE
def test_snapshots_are_kept_as_long_as_the_settings_say(blueprint: Synthesis, settings: Settings) -> None:
    group = only(blueprint.of(settings.name, "broker"), GROUP)

    assert group["SnapshotRetentionLimit"] == settings.broker.snapshot_retention_days


def test_redis_is_a_setting(variants: Synthesis) -> None:
    template = variants.of("redis", "broker")

    assert only(template, GROUP)["Engine"] == "redis"
    assert only(template, GROUP)["EngineVersion"] == "7.1"
    assert only(template, "AWS::ElastiCache::ParameterGroup")["CacheParameterGroupFamily"] == "redis7"


def test_failover_can_be_declined(variants: Synthesis) -> None:
    group = only(variants.of("nofailover", "broker"), GROUP)

    assert group["NumCacheClusters"] == 3
    assert group["AutomaticFailoverEnabled"] is group["MultiAZEnabled"] is False


@pytest.mark.parametrize(("nodes", "says"), [(1, True), (2, False)])
def test_one_node_says_at_synth_what_its_death_loses(nodes: int, says: bool) -> None:
    settings = replace(environments.DEV, broker=replace(environments.DEV.broker, nodes=nodes))
    stack = BrokerStack(App(context=FLAGS), "broker", settings=settings, protected=False)

    found = Annotations.from_stack(stack).find_warning("*", Match.string_like_regexp("every task .* is lost"))

    assert bool(found) is says


def test_every_queue_is_confirmed_where_there_is_a_replica_unless_its_pool_says_otherwise() -> None:
    (high, low, warehouse) = environments.PROD.pools
    assert environments.PROD.confirmed_queues == (*high.queues, *low.queues, *warehouse.queues)
    assert environments.DEV.confirmed_queues == ()

    some = replace(
        environments.PROD,
        pools=(high, replace(low, confirmed=()), replace(warehouse, confirmed=("packing",))),
    )

    assert some.confirmed_queues == (*high.queues, "packing")
