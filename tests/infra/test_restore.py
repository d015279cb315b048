"""A broker that is restored: its template, and what preflight says before one takes another's place."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from taskfleet.contract import names, parameters

from infra.preflight.finding import State
from infra.preflight.restore import Seen, Snapshot, judge
from infra.settings import Engine, Settings
from tests.infra.synthesis import Synthesis, of_type, only
from tests.infra.variants import EXISTING, SNAPSHOT
from tests.support import reference as environments

GROUP = "AWS::ElastiCache::ReplicationGroup"
PROD = environments.PROD
RESTORED = names.broker("existing", SNAPSHOT)


def test_a_snapshot_can_only_be_given_to_a_group_that_is_made() -> None:
    """Why a restored broker has a name of its own: the group of the old name is still there then."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("eu-west-1", GROUP).schema

    assert {"/properties/SnapshotName", "/properties/ReplicationGroupId"} <= set(
        schema["createOnlyProperties"]
    )


def test_a_restored_broker_has_a_name_of_its_own(variants: Synthesis, blueprint: Synthesis) -> None:
    group = only(variants.of("existing", "broker"), GROUP)

    assert group["SnapshotName"] == SNAPSHOT
    assert group["ReplicationGroupId"] == RESTORED != names.broker("existing", "another")
    assert RESTORED.startswith(f"{names.broker('existing')}-")
    assert "SnapshotName" not in only(blueprint.of("prod", "broker"), GROUP)


def test_the_base_says_which_it_is(variants: Synthesis, blueprint: Synthesis) -> None:
    def said(synthesis: Synthesis, environment: str) -> dict[str, Any]:
        values = of_type(synthesis.of(environment, "broker"), "AWS::SSM::Parameter").values()
        return {one["Name"].rpartition("/")[2]: one["Value"] for one in values}

    restored, plain = said(variants, "existing"), said(blueprint, "prod")
    assert restored["broker-group"] == plain["broker-group"] == {"Ref": "ReplicationGroup"}
    assert (restored["broker-snapshot"], plain["broker-snapshot"]) == (SNAPSHOT, parameters.NO_SNAPSHOT)


def test_alarms_dashboard_and_operators_follow_it(variants: Synthesis) -> None:
    template = variants.of("existing", "fleet")
    nodes = set(names.broker_nodes(RESTORED, EXISTING.broker.nodes))
    watched = {
        dimension["Value"]
        for alarm in of_type(template, "AWS::CloudWatch::Alarm").values()
        for dimension in alarm.get("Dimensions", ())
        if dimension["Name"] == "CacheClusterId"
    }
    operator = json.dumps(of_type(template, "AWS::IAM::ManagedPolicy"))

    assert {node for node in watched if "-results-" not in node} == nodes
    assert all(node in only(template, "AWS::CloudWatch::Dashboard")["DashboardBody"] for node in nodes)
    assert f"replicationgroup:{RESTORED}" in operator
    assert f'replicationgroup:{names.broker("existing")}"' not in operator


# -- preflight ---------------------------------------------------------------------------------------

FOUND = Snapshot(engine="valkey", version="8.1.0", node_type="cache.r7g.large", taken="2026-11-20 03:10 UTC")
PLAIN, OTHER = names.broker("prod"), names.broker("prod", "friday")


def restoring(snapshot: str | None = "friday", **changes: Any) -> Settings:
    broker = replace(PROD.broker, restore_from_snapshot=snapshot, **changes)
    return replace(PROD, account="123456789012", broker=broker)


@pytest.mark.parametrize(
    ("settings", "seen", "state", "says"),
    [
        (restoring(None), Seen(), State.OK, f"{PLAIN}, which begins empty"),
        (restoring(None), Seen(deployed=PLAIN), State.OK, f"{PLAIN} stays"),
        (restoring(), Seen(deployed=OTHER, began_with="friday"), State.OK, "stays, restored from friday"),
        (
            restoring(None),
            Seen(deployed=OTHER, began_with="friday"),
            State.MISSING,
            'set Broker(restore_from_snapshot="friday") again',
        ),
        (
            restoring(None),
            Seen(deployed=PLAIN, there=False, others=("friday",)),
            State.LOOK,
            f"{PLAIN} is gone, and a deploy does not make it again -> "
            "set Broker(restore_from_snapshot=…) to one of friday",
        ),
        (restoring(), Seen(deployed=PLAIN, snapshot=FOUND), State.LOOK, "queued at 2026-11-20 03:10 UTC"),
        (restoring(), Seen(deployed=PLAIN, snapshot=FOUND), State.LOOK, f"{PLAIN} stays beside it"),
        (
            replace(restoring(), keep_data=False),
            Seen(deployed=PLAIN, snapshot=FOUND),
            State.LOOK,
            f"{PLAIN} is deleted with all that it holds",
        ),
        (restoring(), Seen(snapshot=FOUND), State.LOOK, "what is in it runs again"),
        (
            restoring(),
            Seen(deployed=PLAIN, others=("monday", "tuesday")),
            State.MISSING,
            "there is no snapshot friday in eu-west-1 -> restore_from_snapshot: one of monday, tuesday",
        ),
        (
            restoring(),
            Seen(deployed=PLAIN, snapshot=FOUND, taken_name=True),
            State.MISSING,
            f"there is a {OTHER} already",
        ),
        (
            restoring(),
            Seen(deployed=PLAIN, snapshot=replace(FOUND, status="creating")),
            State.MISSING,
            "the snapshot friday is creating -> wait",
        ),
        (
            restoring(engine=Engine.REDIS, engine_version="7.1"),
            Seen(deployed=PLAIN, snapshot=FOUND),
            State.MISSING,
            "of Valkey, not of Redis -> engine=Engine.VALKEY",
        ),
        (
            restoring(),
            Seen(deployed=PLAIN, snapshot=replace(FOUND, version="9.0.1")),
            State.MISSING,
            'engine_version="9.0" or later',
        ),
        # Valkey reads what Redis wrote, whatever the numbers say.
        (
            restoring(engine_version="7.2"),
            Seen(snapshot=replace(FOUND, engine="redis", version="7.4")),
            State.LOOK,
            "is made",
        ),
    ],
)
def test_preflight_says_which_broker_a_deploy_leaves(
    settings: Settings, seen: Seen, state: State, says: str
) -> None:
    found = judge(settings, seen)

    assert (found.what, found.state) == ("broker", state)
    assert says in f"{found.found} -> {found.then}"
