"""The drill of the far ETAs, with a few near ones and without kills (tests/brokers tries those)."""

from __future__ import annotations

from drills.far_etas import drill


def test_a_few_run_in_time_on_both_brokers_and_the_others_wait() -> None:
    report = drill.run(1000, wait_seconds=8, per_second=20, kill_every_seconds=None, plain=15)

    assert report.holds, report.table()
    assert (report.figures["primary_waiting"], report.figures["fallback_waiting"]) == (1000, 25)
