"""What an environment takes of its account's quotas, and what synth and preflight say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from taskfleet.contract import names

from infra import needs
from infra.needs import Need
from infra.preflight import machine
from infra.preflight.finding import Finding, State, page
from infra.preflight.quotas import QUOTAS, compare
from infra.settings import Image
from tests.infra.synthesis import RELEASE, Synthesis
from tests.support import reference as environments

FARGATE = QUOTAS[0]


def of(blueprint: Synthesis, environment: str) -> Mapping[str, Need]:
    parts = (*names.LONG_LIVED, f"release-{RELEASE}")
    found = needs.needs({part: blueprint.of(environment, part) for part in parts})
    return {one.what: one for one in found}


@pytest.mark.parametrize(("environment", "rest"), [("dev", 3.5), ("staging", 3.5), ("prod", 6.5)])
def test_a_second_release_beside_the_first_takes_as_much_again_as_the_first(
    blueprint: Synthesis, environment: str, rest: float
) -> None:
    vcpu = of(blueprint, environment)[needs.VCPU]

    singletons = 0.5  # beat and the controller
    assert (vcpu.rest, vcpu.release) == (rest, 2 * rest - singletons)


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
        (12, 0, State.LOOK, "no room for a second release"),
        (20, 0, State.LOOK, "would not reach its full scale"),
        (100, 0, State.OK, ""),
        (100, 96, State.MISSING, "--desired-value 157"),
    ],
)
def test_a_quota_that_is_too_small_comes_with_the_command_that_raises_it(
    allowed: float, taken: float, state: State, says: str
) -> None:
    prod = Need(what=needs.VCPU, rest=6.5, release=12.5, full=60.5)

    found = compare(prod, FARGATE, allowed=allowed, taken=taken)

    assert found.state is state
    assert says in " ".join((found.then, *found.run))
    assert f"the quota is {allowed:g}" in found.found


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
