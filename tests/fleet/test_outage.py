"""Redis stops: publishes go to SQS and the fallback pool runs them. Redis is back: so are the publishes."""

from __future__ import annotations

from taskfleet.contract import names

from drills.drill import SHORT_FORM_TAKES
from drills.publishing import LONGEST_PUBLISH_SECONDS
from tests.fleet.deployed import Deployed, wait_until


def test_an_outage_of_redis_is_survived_and_failed_back(fleet: Deployed) -> None:
    release = fleet.current()
    faults = fleet.drill()
    twin = names.service("high", release, fallback=True)
    try:
        faults.kill_broker()
        run, sent = fleet.record("high", 40)
        assert {one["broker"] for one in sent} == {"fallback"}
        limit = LONGEST_PUBLISH_SECONDS * SHORT_FORM_TAKES
        assert max(one["seconds"] for one in sent) < limit, "a publish is bounded in time"
        done = fleet.wait_for_run(run, 40, seconds=120)
        assert {line["broker"] for line in done} == {"fallback"}
        assert fleet.services()[twin].running >= 1
    finally:
        faults.heal()
    run, sent = fleet.record("high", 5)
    assert {one["broker"] for one in sent} == {"primary"}
    assert {line["broker"] for line in fleet.wait_for_run(run, 5, seconds=60)} == {"primary"}
    wait_until(lambda: fleet.services()[twin].running == 0, 120, "the fallback pool sleeps again")


def test_the_operator_is_told(fleet: Deployed) -> None:
    """While Redis refuses, `fleet status` says so; afterwards it doesn't."""
    faults = fleet.drill()

    def up() -> bool | None:
        answer: bool | None = fleet.fleet_json("status")["broker_up"]
        return answer

    try:
        faults.kill_broker()
        wait_until(lambda: up() is False, 40, "the controller sees that Redis is down")
    finally:
        faults.heal()
    wait_until(lambda: up() is True, 40, "the controller sees that Redis is back")
