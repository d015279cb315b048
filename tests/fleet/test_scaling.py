"""Queue-depth alarms scale a pool: `low` is flooded, gets workers, and gives them back."""

from __future__ import annotations

from taskfleet.contract import names

from tests.fleet.deployed import Deployed, wait_until


def test_a_flood_brings_workers_that_leave_again(fleet: Deployed) -> None:
    release = fleet.current()
    service = names.service("low", release)
    wait_until(lambda: fleet.services()[service].desired == 1, 120, "low is at its least")
    run, _ = fleet.record("low", 600, seconds=0.25)
    wait_until(lambda: fleet.services()[service].running > 1, 90, "workers were added")
    alarms = fleet.client("cloudwatch")
    history = alarms.describe_alarm_history(AlarmName=names.alarm("local", "scale-out", "low", release))
    assert history["AlarmHistoryItems"], "the alarm did it"
    done = fleet.wait_for_run(run, 600, seconds=180)
    assert len(done) == 600, "none ran twice while workers came"
    wait_until(lambda: fleet.services()[service].running == 1, 180, "workers were taken away again")
