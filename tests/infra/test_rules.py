"""Every rule of the settings: one change that breaks it, and what the error must say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from taskfleet.errors import SettingsError

from infra import rules
from infra.rules import types
from infra.rules.capacity import architecture_of
from infra.settings import (
    Allow,
    Architecture,
    Broker,
    Canary,
    Capacity,
    Egress,
    Engine,
    Execution,
    ExistingVpc,
    Image,
    Limits,
    Network,
    Pool,
    Promotion,
    Releases,
    Results,
    ResultsCache,
    Secret,
    Settings,
)
from tests.support import reference as environments

BASE = replace(environments.STAGING, account="123456789012")
HIGH, LOW = environments.HIGH, environments.LOW
DIGEST = "sha256:" + "0" * 64
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-AbCdEf"
PARAMETER = "arn:aws:ssm:eu-west-1:123456789012:parameter/shop/token"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/mrk-0123456789abcdef"
Change = Callable[[], Mapping[str, Any]]


def pool(**changes: Any) -> Mapping[str, Any]:
    """The pool `low` with changes."""
    return {"pools": (HIGH, replace(LOW, **changes))}


def limits(**changes: Any) -> Mapping[str, Any]:
    return pool(limits=replace(Limits(), **changes))


def broker(**changes: Any) -> Mapping[str, Any]:
    return {"broker": replace(Broker(), **changes)}


def existing(*, cidr: str | None = None, egress: Egress = Egress.NAT, **changes: Any) -> Mapping[str, Any]:
    given = {"id": "vpc-01234567", "subnet_ids": ("subnet-01234567", "subnet-01234568"), **changes}
    zones = environments.ZONES[:2]
    return {
        "network": Network(existing=ExistingVpc(**given), cidr=cidr, egress=egress, availability_zones=zones)
    }


def network(**changes: Any) -> Mapping[str, Any]:
    return {"network": replace(BASE.network, **changes)}


# name: (what is changed, the value as the error shows it, what it must say of rule and fix)
BROKEN: dict[str, tuple[Mapping[str, Any], str, tuple[str, ...]]] = {
    # releases that are rolled
    "nobody to ask": (
        {"releases": Releases.ROLLING, "promotion": Promotion.MANUAL},
        "MANUAL",
        ("promotion", "with releases=ROLLING", "leave it out"),
    ),
    "no gate to run a command before": (
        {"releases": Releases.ROLLING, "before_gate": ("migrate",)},
        "('migrate',)",
        ("before_gate", "with releases=ROLLING", "run it by hand"),
    ),
    # types
    "no comma in queues": (
        pool(queues=("low")),
        "'low'",
        ("pool low: queues", "must be a tuple", "a tuple of one needs its comma: ('low',)"),
    ),
    "a list of queues": (pool(queues=["low"]), "['low']", ("pool low: queues", "must be a tuple")),
    "execution as text": (pool(execution="gevent"), "'gevent'", ("an Execution", "Execution.GEVENT")),
    "a number in quotes": (pool(concurrency="4"), "'4'", ("pool low: concurrency", "4, without quotes")),
    "a number that is True": (pool(concurrency=True), "True", ("a whole number",)),
    "a fraction": (limits(time_limit_seconds=1.5), "1.5", ("pool low: limits.time_limit_seconds",)),
    "a variable that is no text": ({"variables": {"RETRIES": 5}}, "5", ("variables['RETRIES']", "'5'")),
    "an engine that is unknown": (broker(engine="kafka"), "'kafka'", ("broker.engine", "Engine.VALKEY")),
    "no pool": ({"pools": (HIGH, "low")}, "'low'", ("pools[1]", "a Pool")),
    "one pool without its comma": ({"pools": HIGH}, "Pool(", ("pools", "a tuple")),
    "nothing where a text must be": ({"region": None}, "None", ("region", "a text")),
    # application
    "a module that is not there": (
        {"app": "no_such.app:app"},
        "'no_such.app:app'",
        ("no module 'no_such.app'",),
    ),
    "a module that is not in its package": (
        {"app": "drills.tasks.main:app"},
        "'drills.tasks.main:app'",
        ("no module 'drills.tasks.main' in worker_image/src",),
    ),
    "an application that is not there": (
        {"app": "drills.tasks.app:celery"},
        "'drills.tasks.app:celery'",
        ("app.py of drills.tasks.app has no 'celery'",),
    ),
    "another account on this machine": (
        {"on_this_machine": True, "region": "us-east-1"},
        "'123456789012'",
        ("the emulated account, whose account is 000000000000",),
    ),
    # names
    "environment name": ({"name": "Prod_1"}, "'Prod_1'", ("environment", "must match")),
    "pool name": (pool(name="low-prio"), "'low-prio'", ("pool low-prio: name", "must match")),
    "queue name": (pool(queues=("low", "etl.fast")), "'etl.fast'", ("a queue", "must match")),
    "reserved queue name": (pool(queues=("low", "dead")), "'dead'", ("except dead",)),
    "no pools": ({"pools": ()}, "()", ("at least one pool",)),
    "pool name twice": (
        {"pools": (HIGH, replace(LOW, name="high"))},
        "'high'",
        ("2 have this one", "rename"),
    ),
    "pool named as a service": (pool(name="controller"), "'controller'", ("has a service of this name",)),
    "queue with two owners": (
        pool(queues=("low", "high"), helps=()),
        "'high'",
        ("exactly one pool", "high, low", "helps"),
    ),
    "pool without queues": (
        {"pools": (HIGH, LOW, Pool(name="idle", queues=()))},
        "()",
        ("pool idle: queues",),
    ),
    "helps its own queue": (pool(helps=("etl",)), "'etl'", ("pool low: helps", "its own", "drop it")),
    "helps an unknown queue": (pool(helps=("hihg",)), "'hihg'", ("no pool owns", "etl, high, low")),
    "pools help each other": (
        {"pools": (replace(HIGH, helps=("low",)), LOW)},
        "('low',)",
        ("must not help each other", "only the less urgent"),
    ),
    "pools help in a circle": (
        {
            "pools": (
                replace(HIGH, helps=("c",)),
                replace(LOW, helps=("high",)),
                Pool(name="third", queues=("c",), helps=("etl",)),
            )
        },
        "('etl',)",
        ("pool third: helps", "nor in a circle"),
    ),
    "default queue": ({"default_queue": "celery"}, "'celery'", ("a pool must own it", "etl, high, low")),
    # access
    "an action with a wildcard": (
        pool(allow=(Allow(actions=("s3:*",), resources=("arn:aws:s3:::reports/*",)),)),
        "'s3:*'",
        ("pool low: allow[0].actions", "without a wildcard"),
    ),
    "a managed policy by its name": (
        pool(managed_policies=("AmazonSESFullAccess",)),
        "'AmazonSESFullAccess'",
        ("pool low: managed_policies",),
    ),
    # account
    "account": ({"account": "1234"}, "'1234'", ("12 digits",)),
    "owner that is no tag": ({"owner": "web shop "}, "'web shop '", ("a tag's value", "web-shop")),
    "region of China": (
        {"region": "cn-north-1", **network(availability_zones=("cn-north-1a", "cn-north-1b"))},
        "'cn-north-1'",
        ("another partition", "as eu-west-1"),
    ),
    "region of GovCloud": (
        {"region": "us-gov-west-1", **network(availability_zones=("us-gov-west-1a", "us-gov-west-1b"))},
        "'us-gov-west-1'",
        ("another partition", "as eu-west-1"),
    ),
    "region": ({"region": "eu-west-1a"}, "'eu-west-1a'", ("region", "not one of its zones")),
    "a qualifier": ({"bootstrap_qualifier": "Shop-1"}, "'Shop-1'", ("bootstrap_qualifier", "at most ten")),
    "app": ({"app": "tasks.celery"}, "'tasks.celery'", ("module:attribute",)),
    "alarm email": ({"alarm_email": "on-call"}, "'on-call'", ("name@domain",)),
    "every dead letter": ({"alarm_dead_letters": 0}, "0", ("alarm_dead_letters", "at least 1")),
    "runbook url": ({"runbook_url": "https://x.org/runbooks/"}, "'https://x.org/runbooks/'", ("no slash",)),
    # network
    "zone of another region": (
        network(availability_zones=("us-east-1a", "eu-west-1a")),
        "('us-east-1a', 'eu-west-1a')",
        ("of the region eu-west-1",),
    ),
    "no zone": (network(availability_zones=()), "()", ("at least one zone",)),
    "zone twice": (network(availability_zones=("eu-west-1a",) * 2), "'eu-west-1a'", ("none twice",)),
    "NAT gateways with endpoints": (
        network(egress=Egress.ENDPOINTS, nat_gateways=1),
        "= 1:",
        ("there is no NAT gateway", "Egress.NAT"),
    ),
    "more NAT gateways than zones": (network(nat_gateways=3), "= 3:", ("number of zones (2)",)),
    "no NAT gateway": (network(nat_gateways=0), "= 0:", ("number of zones (2)",)),
    "not a network": (network(cidr="10.40.0.1/16"), "'10.40.0.1/16'", ("not a network",)),
    "no network": (network(cidr=""), "''", ("not a network",)),
    "public network": (network(cidr="8.8.0.0/16"), "'8.8.0.0/16'", ("a private IPv4 block",)),
    "network of one's own machine": (
        network(cidr="127.0.0.0/16"),
        "'127.0.0.0/16'",
        ("a private IPv4 block",),
    ),
    "network too small": (network(cidr="10.0.0.0/20"), "'10.0.0.0/20'", ("for each zone (2)", "take a /16")),
    "network too big": (network(cidr="10.0.0.0/8"), "'10.0.0.0/8'", ("/16 or smaller",)),
    "an existing VPC with addresses": (
        existing(cidr="10.0.0.0/16"),
        "'10.0.0.0/16'",
        ("network.cidr", "leave cidr out"),
    ),
    "not the id of a VPC": (existing(id="shop"), "'shop'", ("network.existing.id", "describe-vpcs")),
    "a subnet too few": (
        existing(subnet_ids=("subnet-01234567",)),
        "('subnet-01234567',)",
        ("network.existing.subnet_ids", "each of network.availability_zones (2)"),
    ),
    "subnets given and looked up": (
        existing(subnet_tag="Tier=private"),
        "Tier=private",
        ("network.existing", "one of the two"),
    ),
    "a tag without a value": (
        existing(subnet_ids=(), subnet_tag="private"),
        "'private'",
        ("network.existing.subnet_tag", "KEY=VALUE"),
    ),
    "a route table too few": (
        existing(route_table_ids=("rtb-01234567",)),
        "('rtb-01234567',)",
        ("network.existing.route_table_ids", "one for each"),
    ),
    "an endpoint that nobody needs": (
        existing(endpoints=("s3", "sns")),
        "'sns'",
        ("network.existing.endpoints", "and no other"),
    ),
    "no way to S3": (
        existing(egress=Egress.ENDPOINTS, endpoints=("dynamodb",)),
        "= ()",
        ("network.existing.route_table_ids", "without a way to the internet, s3 are reached"),
    ),
    "a security group by its name": (
        pool(security_groups=("database",)),
        "'database'",
        ("pool low: security_groups", "describe-security-groups"),
    ),
    "security groups without end": (
        pool(security_groups=tuple(f"sg-0123456{number}" for number in range(5))),
        "'sg-01234560'",
        ("pool low: security_groups", "at most 4"),
    ),
    "everybody reaches the broker": (
        broker(ingress=("0.0.0.0/0",)),
        "'0.0.0.0/0'",
        ("broker.ingress", "/16 or smaller"),
    ),
    "a range that begins elsewhere": (
        broker(ingress=("10.8.3.1/20",)),
        "'10.8.3.1/20'",
        ("broker.ingress", "Fix: 10.8.0.0/20, where that range begins"),
    ),
    "a public range reaches the broker": (
        broker(ingress=("8.8.8.0/24",)),
        "'8.8.8.0/24'",
        ("broker.ingress", "private IPv4"),
    ),
    "a range that no VPC can have reaches the broker": (
        broker(ingress=("169.254.0.0/16",)),
        "'169.254.0.0/16'",
        ("broker.ingress", "private IPv4"),
    ),
    "somebody reaches the broker twice": (
        broker(ingress=("sg-01234567",) * 2),
        "'sg-01234567'",
        ("broker.ingress", "none twice"),
    ),
    "everybody reads the metrics": (
        {"metrics_from": ("0.0.0.0/0",)},
        "'0.0.0.0/0'",
        ("metrics_from", "/16 or smaller"),
    ),
    "log retention": ({"log_retention_days": 10}, "= 10:", ("log_retention_days", "the nearest is 7")),
    "flow log retention": (network(flow_log_retention_days=100), "= 100:", ("flow_log", "the nearest is 90")),
    # broker
    "cluster mode": (
        broker(cluster_mode=True),
        "= True:",
        ("broker.cluster_mode", "one hash slot", "node_type"),
    ),
    "serverless": (broker(serverless=True), "= True:", ("broker.serverless", "CROSSSLOT")),
    "engine version": (broker(engine_version="7.1"), "'7.1'", ("no such version of valkey", "8.1")),
    "node type": (
        broker(node_type="cache.t9.micro"),
        "'cache.t9.micro'",
        ("no such node type", "cache.t4g.small"),
    ),
    "node size": (broker(node_type="cache.t4g.large"), "'cache.t4g.large'", ("no such node type",)),
    "too many nodes": (broker(nodes=7), "= 7:", ("up to 5 replicas",)),
    "no node": (broker(nodes=0), "= 0:", ("between 1 and 6",)),
    "failover with one node": (
        broker(nodes=1, failover=True),
        "= True:",
        ("at least 2 nodes, not 1", "nodes=2"),
    ),
    "failover in one zone": (
        network(availability_zones=("eu-west-1a",)),
        "('eu-west-1a',)",
        ("at least two zones", "failover=False"),
    ),
    "confirmed queue of another pool": (
        pool(confirmed=("etl", "high")),
        "['high']",
        ("pool low: confirmed", "those of 'low' are low, etl", "at the pool that owns it"),
    ),
    "confirmed without a replica": (
        {**pool(confirmed=("etl",)), **broker(nodes=1)},
        "('etl',)",
        ("pool low: confirmed", "waits for 1 replica", "broker.nodes=2"),
    ),
    "snapshots": (broker(snapshot_retention_days=36), "= 36:", ("between 0 (none) and 35",)),
    "a snapshot's ARN": (
        broker(restore_from_snapshot="arn:aws:s3:::shop/dump.rdb"),
        "'arn:aws:s3:::shop/dump.rdb'",
        ("broker.restore_from_snapshot", "the name of a snapshot", "describe-snapshots"),
    ),
    "a snapshot with a dash too many": (
        broker(restore_from_snapshot="before--friday"),
        "'before--friday'",
        ("the name of a snapshot",),
    ),
    "no snapshot": (broker(restore_from_snapshot=""), "= '':", ("the name of a snapshot",)),
    "a snapshot on this machine": (
        {
            "on_this_machine": True,
            "region": "us-east-1",
            "account": "000000000000",
            **broker(restore_from_snapshot="friday"),
        },
        "'friday'",
        ("one Valkey", "leave it out"),
    ),
    "port": (broker(port=80), "= 80:", ("from 1150 to 65535",)),
    # image
    "image without digest": (
        {"image": Image(uri="example.com/worker")},
        "None",
        ("needs its digest", "sha256:"),
    ),
    "short digest": ({"image": Image(uri="a/b", digest="sha256:12")}, "'sha256:12'", ("64 hexadecimal",)),
    "digest without image": ({"image": Image(digest=DIGEST)}, "None", ("image.uri", "give uri too")),
    "image with a tag": ({"image": Image(uri="a/b:v1", digest=DIGEST)}, "'a/b:v1'", ("without a tag",)),
    "image with a digest": ({"image": Image(uri=f"a/b@{DIGEST}", digest=DIGEST)}, "a/b@", ("without a tag",)),
    "an image that only the internet has": (
        {"image": Image(uri="ghcr.io/shop/worker", digest=DIGEST), **network(egress=Egress.ENDPOINTS)},
        "ghcr.io",
        ("image.uri", "reach no registry but ECR of eu-west-1", "dkr.ecr.eu-west-1"),
    ),
    "an image of another region's": (
        {
            "image": Image(uri="123456789012.dkr.ecr.us-east-1.amazonaws.com/shop", digest=DIGEST),
            **existing(egress=Egress.ENDPOINTS, endpoints=("s3", "dynamodb")),
        },
        "us-east-1",
        ("reach no registry but ECR of eu-west-1",),
    ),
    # capacity
    "no slots": (
        pool(concurrency=0),
        "= 0:",
        ("pool low: concurrency", "at least 1"),
    ),
    "negative minimum": (pool(min_workers=-1), "= -1:", ("pool low: min_workers", "at least 0")),
    "no workers at all": (
        pool(min_workers=0, max_workers=0),
        "= 0:",
        ("pool low: max_workers", "at least 1"),
    ),
    "minimum above maximum": (pool(min_workers=11), "= 11:", ("max_workers = 10", "raise max_workers")),
    "warm above the fallback's maximum": (
        pool(warm_fallback_workers=3, max_fallback_workers=2),
        "= 3:",
        ("max_fallback_workers = 2",),
    ),
    "children bigger than the container": (
        pool(max_memory_per_child_mib=450),
        "= 450:",
        ("450 MiB x concurrency 4 + parent 256 MiB = 2056 MiB", "memory_mib = 2048", "lower it"),
    ),
    "children too small": (
        pool(concurrency=32),
        "= 2048:",
        ("leaves 56 MiB for each of 32", "raise memory_mib"),
    ),
    "child memory of threads": (
        pool(execution=Execution.THREADS, max_memory_per_child_mib=100),
        "= 100:",
        ("threads has no children", "leave it out"),
    ),
    "Fargate cpu": (pool(cpu_units=3000), "= 3000:", ("Fargate has 256, 512, 1024", "Capacity.EC2")),
    "Fargate memory": (pool(memory_mib=10_000), "= 10000:", ("cpu_units = 1024", "the nearest is 8192")),
    "Spot memory": (
        pool(capacity=Capacity.FARGATE_SPOT, memory_mib=1024),
        "= 1024:",
        ("cpu_units = 1024", "the nearest is 2048"),
    ),
    "x86 instance, Arm image": (
        pool(capacity=Capacity.EC2, instance_type="m7i.large"),
        "'m7i.large'",
        ("its processor is x86_64", "image is for arm64"),
    ),
    "Arm instance, x86 image": (
        {**pool(capacity=Capacity.EC2), "image": Image(architecture=Architecture.X86_64)},
        "'m7g.large'",
        ("its processor is arm64", "image is for x86_64"),
    ),
    "not an instance type": (
        pool(capacity=Capacity.EC2, instance_type="large"),
        "'large'",
        ("named like m7g.large",),
    ),
    "no latency target": (pool(latency_target_seconds=0), "= 0:", ("latency_target_seconds", "at least 1")),
    # times
    "soft limit not before the hard one": (
        limits(soft_time_limit_seconds=330),
        "= 330:",
        ("pool low: limits.soft_time_limit_seconds", "less than limits.time_limit_seconds = 330", "lower"),
    ),
    "time limit not within visibility": (
        limits(visibility_timeout_seconds=330, longest_countdown_seconds=0),
        "= 330:",
        ("limits.time_limit_seconds", "limits.visibility_timeout_seconds = 330", "second worker"),
    ),
    "time limit not within SQS visibility": (
        limits(fallback_visibility_timeout_seconds=300, longest_countdown_seconds=0),
        "= 330:",
        ("limits.fallback_visibility_timeout_seconds = 300", "SQS"),
    ),
    "countdown not within visibility": (
        limits(longest_countdown_seconds=3600, fallback_visibility_timeout_seconds=7200),
        "= 3600:",
        ("limits.longest_countdown_seconds", "limits.visibility_timeout_seconds = 3600"),
    ),
    "countdown not within SQS visibility": (
        limits(longest_countdown_seconds=3600, visibility_timeout_seconds=7200),
        "= 3600:",
        ("limits.longest_countdown_seconds", "limits.fallback_visibility_timeout_seconds = 3600"),
    ),
    "soft shutdown not before the kill": (
        limits(soft_shutdown_seconds=120),
        "= 120:",
        ("limits.soft_shutdown_seconds", "limits.stop_timeout_seconds = 120", "handed its messages back"),
    ),
    "stop timeout on Fargate": (
        limits(stop_timeout_seconds=121),
        "= 121:",
        ("Fargate waits 120 s", "120 or less, or capacity=Capacity.EC2"),
    ),
    "a lease of a second": (
        {"broker": Broker(lease_seconds=1)},
        "= 1:",
        ("broker.lease_seconds", "only slow", "10 to 26"),
    ),
    "a lease of an hour on SQS": (
        {"broker": Broker(fallback_lease_seconds=3600)},
        "= 3600:",
        ("broker.fallback_lease_seconds", "tasks waiting", "30 to 600"),
    ),
    "SQS visibility": (
        limits(fallback_visibility_timeout_seconds=43201),
        "= 43201:",
        ("43200 (12 hours)", "lower it"),
    ),
    "negative time": (limits(max_tasks_per_child=0), "= 0:", ("limits.max_tasks_per_child", "at least 1")),
    "scale-out between looks": (
        pool(scale_out_after_seconds=15),
        "= 15:",
        ("every 10 s", "a multiple of 10"),
    ),
    "scale-in too late": (pool(scale_in_after_seconds=90000), "= 90000:", ("86400 s at most",)),
    "drain deadline": (
        {"drain_deadline_seconds": 600, **limits(longest_countdown_seconds=1800)},
        "= 600:",
        ("may take 2130 s to drain", "2130 or more"),
    ),
    "a command in one word": (
        {"before_gate": ("python manage.py migrate",)},
        "'python manage.py migrate'",
        ("before_gate", "word by word"),
    ),
    "warm for less than nothing": ({"warm_seconds": -1}, "= -1:", ("warm_seconds", "or None: never")),
    "a canary with nothing to compare it with": (
        {"canary": Canary(share=0.9)},
        "= 0.9:",
        ("canary.share", "the larger rest", "0.05 for five per cent"),
    ),
    "a canary for a moment": ({"canary": Canary(seconds=5)}, "= 5:", ("counted by the minute", "60 to 5400")),
    "a canary that compares nothing": ({"canary": Canary(runs=0)}, "= 0:", ("canary.runs", "1 or more")),
    "a bake for days": ({"bake_seconds": 200_000}, "= 200000:", ("10 to 43200", "0: no bake")),
    "a canary with nothing beside it": (
        {"releases": Releases.ROLLING, "canary": Canary()},
        "Canary(share=0.05",
        ("canary", "no release beside the new one"),
    ),
    "a bake with nothing to go back to": (
        {"releases": Releases.ROLLING, "bake_seconds": 60},
        "= 60:",
        ("bake_seconds", "no release beside the new one"),
    ),
    "no room for a second release": (
        {"max_live_releases": 1},
        "= 1:",
        ("a new release runs beside the current one", "2 or more"),
    ),
    "an ETA that is far after seconds": (
        {"etas_beyond_seconds": 60},
        "= 60:",
        ("would be sent as soon as it was kept", "120 or more, or None"),
    ),
    "no program before the gate": (
        {"before_gate": ("", "migrate")},
        "('', 'migrate')",
        ("the program that is run", "word by word"),
    ),
    "a command before the gate for days": (
        {"before_gate": ("migrate",), "before_gate_timeout_seconds": 90000},
        "= 90000:",
        ("1 to 900 seconds", "`fleet run`"),
    ),
    # secrets
    "secret in the clear": (
        {"secrets": {"TOKEN": "hunter2"}},
        "'hunter2'",
        ("secrets['TOKEN']", "whole ARN"),
    ),
    "secret without its six characters": (
        {"secrets": {"TOKEN": SECRET.removesuffix("-AbCdEf")}},
        "secret:shop'",
        ("secrets['TOKEN']", "six characters"),
    ),
    "secret with its field in the ARN": (
        {"secrets": {"TOKEN": f"{SECRET}:password::"}},
        ":password::'",
        ("secrets['TOKEN']", "Secret(arn, field=…)"),
    ),
    "secret of another region": (
        {"secrets": {"TOKEN": SECRET.replace("eu-west-1", "us-east-1")}},
        "us-east-1",
        ("own account and region", "replicate-secret-to-regions"),
    ),
    "parameter of another account": (
        {"secrets": {"TOKEN": Secret("arn:aws:ssm:eu-west-1:210987654321:parameter/shop/token")}},
        "210987654321",
        ("own account and region",),
    ),
    "field of a parameter": (
        {"secrets": {"TOKEN": Secret("arn:aws:ssm:eu-west-1:123456789012:parameter/shop", field="token")}},
        "'token'",
        ("secrets['TOKEN'].field", "given whole"),
    ),
    "field with a version": (
        {"secrets": {"TOKEN": Secret(SECRET, field="token:AWSPREVIOUS:")}},
        "'token:AWSPREVIOUS:'",
        ("secrets['TOKEN'].field", "the name alone"),
    ),
    "blank field": (
        {"secrets": {"TOKEN": Secret(SECRET, field=" ")}},
        "' '",
        ("secrets['TOKEN'].field", "field='' for all of it"),
    ),
    "field with a line's end": (
        {"secrets": {"TOKEN": Secret(SECRET, field="password\n")}},
        r"'password\n'",
        ("secrets['TOKEN'].field", "as it stands in the secret"),
    ),
    "alias as a key": (
        {"secrets": {"TOKEN": Secret(SECRET, key="arn:aws:kms:eu-west-1:123456789012:alias/shop")}},
        "alias/shop'",
        ("secrets['TOKEN'].key", "never by an alias"),
    ),
    "key of another region": (
        {"secrets": {"TOKEN": Secret(SECRET, key="arn:aws:kms:us-east-1:123456789012:key/0123")}},
        "us-east-1",
        ("secrets['TOKEN'].key", "in eu-west-1"),
    ),
    # variables
    "variable of the blueprint": (
        {"variables": {"TASKFLEET_POOL": "x"}},
        "'TASKFLEET_POOL'",
        ("a setting of its own", "rename it"),
    ),
    "variable in the blueprint's name space": (
        {"variables": {"TASKFLEET_MINE": "x"}},
        "'TASKFLEET_MINE'",
        ("belongs to the blueprint",),
    ),
    "variable of ECS": ({"variables": {"AWS_REGION": "x"}}, "'AWS_REGION'", ("is set by ECS",)),
    "variable of Celery": (
        {"secrets": {"CELERY_BROKER_URL": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-AbCdEf"}},
        "'CELERY_BROKER_URL'",
        ("overrides Celery's configuration",),
    ),
    "result backend of the settings": (
        {"results": Results(), "variables": {"CELERY_RESULT_BACKEND": "redis://cache.example/0"}},
        "'CELERY_RESULT_BACKEND'",
        ("a setting of its own", "drop it"),
    ),
    "result backend on a broker": (
        {"variables": {"CELERY_RESULT_BACKEND": "rpc://"}},
        "'rpc://'",
        ("a queue of one broker", "Results()"),
    ),
    "results that never are": ({"results": Results(expires_seconds=0)}, "= 0:", ("a second at least",)),
    "a version of the results' cache that there is not": (
        {"results": ResultsCache(engine_version="7.1")},
        "'7.1'",
        ("results.engine_version", "no such version of valkey", "8.1"),
    ),
    "a node of the results' cache that there is not": (
        {"results": ResultsCache(node_type="cache.t2.big")},
        "'cache.t2.big'",
        ("results.node_type", "no such node type"),
    ),
    "a node type that Redis can't have": (
        broker(engine=Engine.REDIS, engine_version="7.1", node_type="cache.r8g.large"),
        "'cache.r8g.large'",
        ("broker.node_type", "for Valkey, not for redis", "Engine.VALKEY"),
    ),
    "too many nodes for results": ({"results": ResultsCache(nodes=7)}, "= 7", ("results.nodes", "replicas")),
    "a port of the results' cache": ({"results": ResultsCache(port=80)}, "= 80", ("results.port", "1150")),
    "anybody may read results": (
        {"results": ResultsCache(ingress=("0.0.0.0/0",))},
        "'0.0.0.0/0'",
        ("results.ingress", "/16 or smaller"),
    ),
    "who may read results is no text": (
        {"results": ResultsCache(ingress=(5,))},  # type: ignore[arg-type]
        "= 5",
        ("results.ingress[0]", "in quotes: '5'"),
    ),
    "results of two kinds": (
        {"results": ResultsCache(), "variables": {"CELERY_RESULT_BACKEND": "redis://cache.example/0"}},
        "'CELERY_RESULT_BACKEND'",
        ("is set from a setting of its own",),
    ),
    "results as a URL": ({"results": "redis://"}, "'redis://'", ("a Results or a ResultsCache or None",)),
    "a cache for results over two zones in one": (
        {
            "results": ResultsCache(nodes=2),
            "broker": Broker(nodes=1),
            "network": Network(availability_zones=("eu-west-1a",)),
        },
        "('eu-west-1a',)",
        ("network.availability_zones", "set results.nodes=1"),
    ),
    "variable name": ({"variables": {"MY-FLAG": "x"}}, "'MY-FLAG'", ("letters, digits and underscores",)),
    "variables that no task definition can hold": (
        {"variables": {"CERTIFICATES": "x" * 60_000}},
        " bytes'",
        ("variables and secrets", "65536 bytes at most"),
    ),
    "variable and secret": (
        {
            "variables": {"TOKEN": "x"},
            "secrets": {"TOKEN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-AbCdEf"},
        },
        "'TOKEN'",
        ("either a plain variable or a secret", "drop one"),
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_rule_says_value_rule_and_fix(case: str) -> None:
    changes, value, says = BROKEN[case]

    with pytest.raises(SettingsError) as error:
        replace(BASE, **changes)

    (line,) = [
        line for line in str(error.value).splitlines() if value in line and all(s in line for s in says)
    ]
    assert line.startswith("- ")
    assert ": " in line
    assert " Fix: " in line


def test_every_rule_is_broken_by_some_case() -> None:
    broken: set[str] = set()
    for changes, _, _ in BROKEN.values():
        settings = object.__new__(Settings)  # without the check, to see which rules find something
        for name, value in {**vars(BASE), **changes}.items():
            object.__setattr__(settings, name, value)
        if types.problems(settings):
            continue
        broken |= {rule.__qualname__ + rule.__module__ for rule in rules.RULES if list(rule(settings))}

    assert broken == {rule.__qualname__ + rule.__module__ for rule in rules.RULES}


def test_all_problems_are_reported_together() -> None:
    with pytest.raises(SettingsError) as error:
        replace(BASE, app="x", log_retention_days=2, **broker(serverless=True))

    assert "3 settings that can't be right" in str(error.value)
    assert len([line for line in str(error.value).splitlines() if line.startswith("- ")]) == 3


@pytest.mark.parametrize(
    "changes",
    [
        pool(min_workers=0),  # scale to zero
        pool(capacity=Capacity.EC2, cpu_units=3000, memory_mib=5000, limits=Limits(stop_timeout_seconds=600)),
        pool(capacity=Capacity.FARGATE_SPOT),
        pool(execution=Execution.GEVENT, concurrency=100),
        broker(engine_version="9.0", nodes=6),
        broker(nodes=2, failover=False),
        {"variables": {"LOG_FORMAT": "x", "TASKFLEET_LOG_LEVEL": "DEBUG"}},
        {"variables": {"CELERY_RESULT_BACKEND": "rediss://cache.example:6379/0?ssl_cert_reqs=required"}},
        {
            "secrets": {
                "CELERY_RESULT_BACKEND": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-AbCdEf"
            }
        },
        {
            "secrets": {
                "SHOP": Secret(SECRET, field="user.name", key=KEY),
                "TOKEN": Secret(PARAMETER, key=KEY),
            }
        },
        {"results": Results(expires_seconds=7 * 24 * 3600)},
        {"results": ResultsCache(nodes=2, node_type="cache.r7g.large", ingress=("10.8.0.0/20",))},
        # As RDS calls the secret of a database whose password it manages.
        {"secrets": {"DATABASE": Secret(SECRET.replace("shop-", "rds!db-01234567-"), field="password")}},
        # Where pods of a cluster often are, and whole VPCs that are connected to others (RFC 6598).
        broker(ingress=("100.64.0.0/16", "172.16.0.0/16")),
        network(cidr="100.65.0.0/16"),
        {"image": Image(uri="example.com:5000/worker", digest=DIGEST)},
        # A registry of the team's own, in its network.
        {
            "image": Image(uri="registry.corp/worker", digest=DIGEST),
            **existing(egress=Egress.ENDPOINTS, endpoints=("s3", "dynamodb")),
        },
        {
            "image": Image(uri="123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop", digest=DIGEST),
            **network(egress=Egress.ENDPOINTS),
        },
        {"network": Network(availability_zones=("eu-west-1a", "eu-west-1b"), nat_gateways=1)},
    ],
)
def test_what_is_right_is_let_through(changes: Mapping[str, Any]) -> None:
    assert rules.problems(replace(BASE, **changes)) == []


def test_environments_that_overlap_are_reported_and_those_of_a_fresh_clone_do_not() -> None:
    same = replace(environments.PROD, network=replace(environments.PROD.network, cidr="10.40.128.0/17"))
    elsewhere = replace(same, **existing())

    assert [list(rules.overlaps(one, environments.ALL)) for one in environments.ALL] == [[]] * 4
    assert list(rules.overlaps(elsewhere, environments.ALL)) == []
    (said,) = rules.overlaps(same, environments.ALL)
    assert "prod (10.40.128.0/17) and dev (10.40.0.0/16) overlap" in said


def test_unenforced_limits_are_said() -> None:
    threads = replace(BASE, **pool(execution=Execution.THREADS))
    gevent = replace(BASE, **pool(execution=Execution.GEVENT))

    assert "neither time limit is enforced" in rules.remarks(threads)[0]
    assert "the soft time limit is not enforced" in rules.remarks(gevent)[0]
    assert not [remark for remark in rules.remarks(BASE) if "not enforced" in remark]


@pytest.mark.parametrize(
    ("instance_type", "architecture"),
    [
        ("m7g.large", "arm64"),
        ("c7gn.16xlarge", "arm64"),
        ("t4g.micro", "arm64"),
        ("a1.large", "arm64"),
        ("m7i-flex.large", "x86_64"),
        ("c6a.metal", "x86_64"),
        ("g5.xlarge", "x86_64"),
        ("g5g.xlarge", "arm64"),
        ("m7g", None),
    ],
)
def test_an_instance_types_processor_is_in_its_name(instance_type: str, architecture: str | None) -> None:
    assert architecture_of(replace(LOW, instance_type=instance_type)) == architecture
