"""What an environment takes of its account's quotas, and what synth and preflight say of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from taskfleet.contract import names

from infra import needs
from infra.needs import Need
from infra.preflight import machine
from infra.preflight.finding import Finding, State, page
from infra.preflight.quotas import QUOTAS, compare
from infra.rules.capacity import vcpus
from infra.rules.endpoints import interfaces
from infra.services import services
from infra.settings import Capacity, Image
from tests.infra.synthesis import RELEASE, Synthesis
from tests.infra.variants import EXISTING, MIXED
from tests.support import reference as environments

FARGATE = QUOTAS[0]


def of(blueprint: Synthesis, environment: str) -> Mapping[str, Need]:
    parts = (*names.LONG_LIVED, f"release-{RELEASE}")
    found = needs.needs({part: blueprint.of(environment, part) for part in parts})
    return {one.what: one for one in found}


@pytest.mark.parametrize(("environment", "rest"), [("dev", 3.5), ("staging", 3.5), ("prod", 6.5)])
def test_a_gate_wakes_a_worker_on_sqs_in_each_pool_and_a_second_release_stands_beside_the_first(
    blueprint: Synthesis, environment: str, rest: float
) -> None:
    vcpu = of(blueprint, environment)[needs.VCPU]

    controller, pools = 0.25, 3  # each release has a beat of its own
    assert (vcpu.rest, vcpu.before, vcpu.gate) == (rest, rest, rest + pools)
    assert vcpu.release == 2 * rest - controller + pools


def test_a_command_before_the_gate_is_a_task_more_and_never_on_spot(mixed: Synthesis) -> None:
    found = of(mixed, "dev")
    vcpu, spot, alarms = (found[one] for one in (needs.VCPU, needs.SPOT_VCPU, needs.ALARMS))

    assert MIXED.default_pool.capacity is Capacity.FARGATE_SPOT
    assert (vcpu.before - vcpu.rest, spot.before, found[needs.INTERFACES].before) == (
        MIXED.default_pool.cpu_units / 1024,
        spot.rest,
        found[needs.INTERFACES].rest + 1,
    )
    assert alarms.before == alarms.rest
    # Of three pools on Fargate two have no warm worker on SQS; it does not run while they are woken.
    assert vcpu.gate == vcpu.rest + 2


def test_of_a_pool_on_spot_its_least_and_a_fifth_of_the_others_are_on_demand(mixed: Synthesis) -> None:
    (low,) = (
        one
        for one in services(mixed.of("dev", f"release-{RELEASE}"))
        if one.name == names.service("low", RELEASE)
    )

    assert (low.base, low.most) == (2, 10)
    assert [low.on_demand(count) for count in (1, 2, 3, 7, 8, 10)] == [1, 2, 3, 3, 4, 4]


def test_what_takes_an_address_is_counted_in_each_subnet(variants: Synthesis) -> None:
    """Of an existing VPC without a way out, with three zones and a cache for results of two nodes."""
    made = {part: variants.of("existing", part) for part in (*names.LONG_LIVED, f"release-{RELEASE}")}
    found = needs.in_a_subnet(made, 3)

    endpoints = len(interfaces(EXISTING)) - len({"ssm", "sqs", "ecr.api", "ecr.dkr"})
    singletons, broker, results, pools = 2, 1, 1, len(EXISTING.pools)
    rest = endpoints + singletons + broker + results + pools
    assert (EXISTING.broker.nodes, {pool.min_workers for pool in EXISTING.pools}) == (3, {2})
    assert (found.rest, found.gate, found.release) == (rest, rest + pools, rest + 2 * pools + 1)  # a beat
    workers = sum(2 * math.ceil(pool.max_workers / 3) for pool in EXISTING.pools)
    assert found.full == endpoints + singletons + broker + results + workers


def test_of_instances_the_vcpu_of_their_type_count_at_worst_one_for_each_task(mixed: Synthesis) -> None:
    found = of(mixed, "dev")[needs.EC2_VCPU]
    big = next(pool for pool in MIXED.pools if pool.capacity is Capacity.EC2)

    assert (big.instance_type, big.min_workers) == ("m7i.large", 0)
    assert (found.rest, found.gate, found.full) == (0, 2 * 2, 2 * 2 * big.max_workers)


@pytest.mark.parametrize(
    ("type", "count"),
    [
        ("m7g.medium", 1),
        ("t4g.small", 2),
        ("t3.medium", 2),
        ("c7i.large", 2),
        ("r7g.xlarge", 4),
        ("im4gn.16xlarge", 64),
        ("g5.xlarge", 0),
        ("inf2.xlarge", 0),
        ("m7i.metal-24xl", 0),
    ],
)
def test_an_instance_type_says_its_vcpu(type: str, count: int) -> None:
    assert vcpus(type) == count


def test_on_instances_a_worker_may_have_one_to_itself_which_takes_an_address_too(mixed: Synthesis) -> None:
    found = of(mixed, "dev")[needs.INTERFACES]
    big = next(pool for pool in MIXED.pools if pool.capacity is Capacity.EC2)

    others = sum(
        pool.max_workers + (pool.max_fallback_workers or pool.max_workers)
        for pool in MIXED.pools
        if pool is not big
    )
    assert found.full == others + 2 * 2 * big.max_workers + 2 + MIXED.broker.nodes + 1


def test_at_full_scale_every_pool_has_all_its_workers_on_both_brokers(blueprint: Synthesis) -> None:
    workers = sum(pool.max_workers * 2 for pool in environments.PROD.pools)

    assert of(blueprint, "prod")[needs.VCPU].full == workers + 0.5


def test_each_nat_gateway_takes_an_address(blueprint: Synthesis) -> None:
    assert [of(blueprint, one)[needs.ADDRESSES].rest for one in ("dev", "staging", "prod")] == [1, 2, 3]


def test_each_task_node_gateway_and_endpoint_takes_an_interface(blueprint: Synthesis) -> None:
    tasks, nodes, gateways = 2 + 3, environments.DEV.broker.nodes, 1

    assert of(blueprint, "dev")[needs.INTERFACES].rest == tasks + nodes + gateways


@pytest.mark.parametrize(
    ("allowed", "taken", "state", "says"),
    [
        (6, 0, State.MISSING, "--quota-code L-3032A538 --desired-value 61"),
        (7, 0, State.MISSING, "not enough for a first deploy"),
        (8, 0, State.LOOK, "workers on SQS would have to wait for each other"),
        (12, 0, State.LOOK, "no room for a second release"),
        (20, 0, State.LOOK, "would not reach its full scale"),
        (100, 0, State.OK, ""),
        (100, 96, State.MISSING, "--desired-value 157"),
    ],
)
def test_a_quota_that_is_too_small_comes_with_the_command_that_raises_it(
    allowed: float, taken: float, state: State, says: str
) -> None:
    prod = Need(what=needs.VCPU, rest=6.5, before=7.5, gate=9.5, release=15.5, full=60.5)

    found = compare(prod, FARGATE, allowed=allowed, taken=taken)

    assert found.state is state
    assert says in " ".join((found.then, *found.run))
    assert f"the quota is {allowed:g}" in found.found


def test_a_quota_that_only_a_second_release_goes_over_is_asked_for_as_a_whole() -> None:
    alarms = Need(what=needs.ALARMS, rest=41, before=41, gate=41, release=74, full=41)

    found = compare(alarms, FARGATE, allowed=60, taken=0)

    assert found.found == "41 at rest, 74 with a second release beside the first; the quota is 60"
    assert "--desired-value 74" in found.run[0]


def test_an_image_that_is_given_needs_no_engine() -> None:
    given = replace(environments.DEV, image=Image(uri="example.com/app", digest=f"sha256:{'0' * 64}"))

    (found,) = machine.builds(given)

    assert found.state is State.OK


def test_an_engine_that_is_not_there_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDK_DOCKER", "no-such-engine")

    (found,) = machine.builds(environments.DEV)

    assert (found.state, found.found) == (State.MISSING, "there is no no-such-engine on this machine")
    assert "CDK_DOCKER" in found.then


def test_the_page_says_in_its_last_line_whether_a_deploy_can_succeed() -> None:
    fine = Finding(what="zones", state=State.OK, found="a, b")
    bad = Finding(
        what="bootstrap",
        state=State.MISSING,
        found="not done",
        then="once:",
        run=("cdk bootstrap " + "long " * 40 + "end",),
    )

    assert page("dev", [fine]).splitlines()[-1] == "  ready to deploy"
    lines = page("dev", [fine, bad]).splitlines()
    assert lines[-1] == "  1 missing: a deploy would fail"
    assert "           -> once:" in lines
    # A command is copied from one line.
    assert any(line.strip().startswith("cdk bootstrap") and line.endswith("end") for line in lines)


def test_what_is_to_be_done_about_several_lines_is_said_once() -> None:
    asked = [Finding(what=what, state=State.UNKNOWN, found="?", then="ask again") for what in ("a", "b")]

    lines = page("dev", [*asked, Finding(what="c", state=State.OK, found="fine")]).splitlines()

    assert lines[2:6] == [
        "  unknown  a  ?",
        "  unknown  b  ?",
        "           -> ask again",
        "  ok       c  fine",
    ]
