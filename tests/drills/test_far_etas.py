"""The drill of the far ETAs, with a few near ones and without kills (tests/brokers tries those)."""

from __future__ import annotations

from drills.far_etas import drill


def test_a_few_run_in_time_on_both_brokers() -> None:
    report = drill.run(150, wait_seconds=6, per_second=75, kill_every_seconds=None, plain=15)

    assert report.holds, report.table()
    assert (report.figures["primary_waiting"], report.figures["fallback_waiting"]) == (150, 15)
