"""Queue-depth alarms scale a pool: `low` is flooded, gets workers, and gives them back."""

from __future__ import annotations

from taskfleet.contract import names

from tests.fleet.deployed import Deployed, wait_until


def test_a_flood_brings_workers_that_leave_again(fleet: Deployed) -> None:
    release = fleet.current()
    service = names.service("low", release)
    fleet.wait_until_at_rest("low")
    run, sent = fleet.record("low", 600, seconds=0.25)
    wait_until(lambda: fleet.services()[service].running > 1, 90, "workers were added")
    alarms = fleet.client("cloudwatch")
    history = alarms.describe_alarm_history(AlarmName=names.alarm("local", "scale-out", "low", release))
    assert history["AlarmHistoryItems"], "the alarm did it"
    done = fleet.wait_for_run(run, 600, seconds=180)
    # A publish that Redis did not answer in time went to SQS too.
    twice = len(done) - 600
    assert twice <= sum(one["broker"] != "primary" for one in sent), "none ran twice while workers came"
    fleet.wait_until_at_rest("low")
