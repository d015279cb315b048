"""Each container reaches what it calls, whatever the way out; and nobody else reaches the broker."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from taskfleet.contract import names
from taskfleet.contract.environment import METRICS_PORT, METRICS_PORT_DEFAULT

from infra.checks.access import calls
from infra.checks.access.policies import BEAT, CONTROLLER, WORKER
from infra.checks.access.resolve import Account
from infra.checks.paths import Paths, Rule
from infra.settings import Egress, Settings
from tests.infra.synthesis import RELEASE, Synthesis
from tests.infra.variants import DATABASE, EXISTING, SCRAPER, SCRAPER_RANGE, WEB, WEB_RANGE
from tests.support import reference as environments

EVERYWHERE = pytest.mark.parametrize("settings", environments.ALL, ids=lambda settings: settings.name)

# What ECS needs before a container runs: image, its layers in S3, log, secrets (ECS guide, "Amazon ECS
# interface VPC endpoints").
START = {"ecr.api", "ecr.dkr", "s3", "logs", "secretsmanager", "kms"}
# For a shell in it: ECS Exec, whose agent encrypts with the key itself.
SHELL = {"ssmmessages", "kms"}
# Endpoints that nobody of ours calls.
SPARE = {"sts": "a team's own task that assumes a role, and `aws sts get-caller-identity` in a shell"}
# In IAM → in an endpoint's name.
ENDPOINT = {"cloudwatch": "monitoring"}


ENDPOINTS = replace(
    environments.PROD,
    name="endpoints",
    network=replace(environments.PROD.network, egress=Egress.ENDPOINTS),
)


BEAT_SERVICE = names.beat_service(RELEASE)


def paths_of(synthesis: Synthesis, settings: Settings) -> Paths:
    return Paths(synthesis.account(settings), settings)


def called(caller: str) -> set[str]:
    """The services that a caller was seen to call."""
    services = {call.action.partition(":")[0] for call in calls.read() if call.caller == caller}
    return {ENDPOINT.get(service, service) for service in services}


def caller(service: str) -> str:
    own = {names.CONTROLLER_SERVICE: CONTROLLER, BEAT_SERVICE: BEAT}
    return own.get(service, WORKER)


def start(settings: Settings) -> set[str]:
    return START | SHELL if settings.allows_exec else START


def closed(paths: Paths, settings: Settings) -> list[str]:
    """``service to what`` for each path that is not open."""
    broker, port = paths.broker()
    services = paths.services()
    assert len(services) > 2
    to_broker = [
        f"{name} to the broker" for name, place in services.items() if not paths.connects(place, broker, port)
    ]
    results = paths.results()
    if results is not None:
        to_broker += [
            f"{name} to the results"
            for name, place in services.items()
            if not paths.connects(place, *results)
        ]
    return to_broker + [
        f"{name} to {service}"
        for name, place in services.items()
        for service in sorted(start(settings) | called(caller(name)))
        if not paths.reaches_service(place, service)
    ]


@EVERYWHERE
def test_every_container_reaches_what_it_calls(blueprint: Synthesis, settings: Settings) -> None:
    assert closed(paths_of(blueprint, settings), settings) == []


def test_every_container_reaches_what_it_calls_without_a_nat_gateway(variants: Synthesis) -> None:
    paths = paths_of(variants, ENDPOINTS)

    assert closed(paths, ENDPOINTS) == []
    assert not paths.reaches_service(paths.services()[BEAT_SERVICE], "sns")  # which nobody calls


def test_no_endpoint_is_paid_for_that_nobody_needs(variants: Synthesis) -> None:
    paths = paths_of(variants, ENDPOINTS)
    needed = START | called(WORKER) | called(BEAT) | called(CONTROLLER) | SPARE.keys()

    assert set(paths._endpoints) == needed


@EVERYWHERE
def test_nobody_else_reaches_the_broker_or_the_results(blueprint: Synthesis, settings: Settings) -> None:
    paths = paths_of(blueprint, settings)
    (workers,) = {place.groups for place in paths.services().values()}
    results = paths.results()
    assert (results is None) is (settings.results_cache is None)

    for cache, port in filter(None, (paths.broker(), results)):
        assert paths.admitted(cache) == [Rule(cache.groups[0], workers[0], port, port)]
        assert not any(paths.public(subnet) for subnet in cache.subnets)
    assert [rule for rule in paths._ingress if rule.group in workers] == []


@EVERYWHERE
def test_only_containers_are_in_the_workers_group(blueprint: Synthesis, settings: Settings) -> None:
    """Whoever is in it reaches the broker."""
    of = blueprint.account(settings)
    (workers,) = {place.groups[0] for place in Paths(of, settings).services().values()}
    members = {
        resource["Type"]
        for stack, template in of.templates.items()
        for resource in template["Resources"].values()
        if resource["Type"] not in ("AWS::EC2::SecurityGroupIngress", "AWS::SSM::Parameter")
        and f"'{workers}" in str(of.value(resource.get("Properties", {}), stack))
    }

    assert members <= {"AWS::ECS::Service", "AWS::EC2::LaunchTemplate"}


def test_in_an_existing_vpc_all_is_open_that_must_be(variants: Synthesis) -> None:
    """What the settings say of its endpoints counts: with one fewer, one path is closed."""
    vpc = EXISTING.network.existing
    assert vpc is not None
    of = variants.account(EXISTING)
    fewer = replace(vpc, endpoints=("s3", "ssm", "ecr.api", "ecr.dkr"))
    less = replace(EXISTING, network=replace(EXISTING.network, existing=fewer))

    assert closed(Paths(of, EXISTING), EXISTING) == []
    assert {one.rpartition(" to ")[2] for one in closed(Paths(of, less), less)} == {"sqs"}


def test_whom_the_settings_name_reaches_the_broker_and_nobody_else(variants: Synthesis) -> None:
    paths = paths_of(variants, EXISTING)
    workers = paths.services()[BEAT_SERVICE].groups[0]
    broker, results = paths.broker(), paths.results()
    assert results is not None

    for cache, port in (broker, results):
        admitted = {rule.peer for rule in paths.admitted(cache)}
        assert admitted == {workers, WEB, WEB_RANGE}
        assert {(rule.first, rule.last) for rule in paths.admitted(cache)} == {(port, port)}
    assert {rule.group for rule in paths.admitted(results[0])} != {
        rule.group for rule in paths.admitted(broker[0])
    }


def test_whom_the_settings_name_reads_the_metrics_and_reaches_nothing_else(
    variants: Synthesis,
) -> None:
    paths = paths_of(variants, EXISTING)
    services = paths.services()
    admitted = {
        (rule.peer, rule.first, rule.last) for place in services.values() for rule in paths.admitted(place)
    }
    tasks = dict(paths.resources("AWS::ECS::TaskDefinition")).values()
    containers = {one["Family"]: one["ContainerDefinitions"][0] for one in tasks}
    mapped = {family: one["PortMappings"] for family, one in containers.items() if "PortMappings" in one}
    served = {
        family
        for family, one in containers.items()
        if {"Name": METRICS_PORT.name, "Value": str(METRICS_PORT_DEFAULT)} in one["Environment"]
    }

    port = METRICS_PORT_DEFAULT
    assert admitted == {(peer, port, port) for peer in (SCRAPER, SCRAPER_RANGE)}
    # By which a collector finds them.
    silent = {names.task_family(EXISTING.name, BEAT_SERVICE)}
    mapping = [{"ContainerPort": port, "Protocol": "tcp"}]
    assert mapped == dict.fromkeys(containers.keys() - silent, mapping)
    assert served == mapped.keys() - {names.task_family(EXISTING.name, names.CONTROLLER_SERVICE)}


@EVERYWHERE
def test_unless_they_name_somebody_nobody_reaches_anything_that_runs(
    blueprint: Synthesis, settings: Settings
) -> None:
    paths = paths_of(blueprint, settings)

    assert [rule for place in paths.services().values() for rule in paths.admitted(place)] == []


def test_a_pools_own_security_groups_are_its_workers_alone(variants: Synthesis) -> None:
    having = {
        name for name, place in paths_of(variants, EXISTING).services().items() if DATABASE in place.groups
    }

    assert having == {f"low-{RELEASE}", f"low-{RELEASE}-fallback"}


ENDPOINT_TYPE = "AWS::EC2::VPCEndpoint"
CUTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    # What is broken → the type of the resources that get these properties; what is then closed.
    "no way in to the broker": (
        "AWS::EC2::SecurityGroupIngress",
        "to the broker",
        {"FromPort": 6379, "ToPort": 6379},
    ),
    "no way in to the results": (
        "AWS::EC2::SecurityGroupIngress",
        "to the results",
        {"FromPort": 6379, "ToPort": 6379},
    ),
    "no way out of the workers": ("AWS::EC2::SecurityGroup", "to sqs", {"SecurityGroupEgress": []}),
    "NAT gateways in a private subnet": ("AWS::EC2::NatGateway", "to sqs", {"SubnetId": "nowhere"}),
    "endpoints without names": (ENDPOINT_TYPE, "to sqs", {"PrivateDnsEnabled": False}),
    "endpoints that let nobody in": (ENDPOINT_TYPE, "to ssm", {"SecurityGroupIds": []}),
    "gateways in no route table": (ENDPOINT_TYPE, "to dynamodb", {"RouteTableIds": []}),
    "endpoints of other services": (ENDPOINT_TYPE, "to logs", {"ServiceName": "com.amazonaws.eu-west-1.x"}),
}


@pytest.mark.parametrize("cut", CUTS)
def test_a_path_that_is_cut_is_found(blueprint: Synthesis, variants: Synthesis, cut: str) -> None:
    type, says, properties = CUTS[cut]
    settings = environments.LOCAL if says == "to the results" else environments.DEV
    settings = ENDPOINTS if type == ENDPOINT_TYPE else settings
    whole = (variants if settings is ENDPOINTS else blueprint).account(settings)

    def changed(template: dict[str, Any]) -> dict[str, Any]:
        resources = {
            name: {**one, "Properties": {**one["Properties"], **properties}} if one["Type"] == type else one
            for name, one in template["Resources"].items()
        }
        return {**template, "Resources": resources}

    templates = {name: changed(dict(one)) for name, one in whole.templates.items()}
    paths = Paths(Account(whole.account, whole.region, templates), settings)

    assert any(says in one for one in closed(paths, settings))


def test_what_the_check_can_not_read_is_refused(variants: Synthesis) -> None:
    """A network ACL of one's own, and an endpoint with a policy."""
    of = variants.account(ENDPOINTS)
    stack = names.stack(ENDPOINTS.name, "network")
    network = of.templates[stack]
    endpoints = [name for name, one in network["Resources"].items() if one["Type"] == ENDPOINT_TYPE]
    acl = {"Type": "AWS::EC2::NetworkAcl", "Properties": {}}
    first = network["Resources"][endpoints[0]]
    policed = {**first, "Properties": {**first["Properties"], "PolicyDocument": {}}}

    for name, resource, says in (("Acl", acl, "no network ACL"), (endpoints[0], policed, "no policy")):
        added = {**network, "Resources": {**network["Resources"], name: resource}}
        paths = Paths(Account(of.account, of.region, {**of.templates, stack: added}), ENDPOINTS)
        with pytest.raises(ValueError, match=says):
            closed(paths, ENDPOINTS)
