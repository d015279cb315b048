"""The drill of the lost broker, its second half: a single node, and a shorter load."""

from __future__ import annotations

import pytest

from drills import broker_lost


def test_what_a_single_node_loses_is_what_was_counted_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("CUT_SECONDS", 0.5), ("AWAY_SECONDS", 1.0), ("COUNTDOWN_SECONDS", 2.0)):
        monkeypatch.setattr(broker_lost, name, seconds)

    figures, checks = broker_lost.a_single_node(4.0)

    assert all(check.holds for check in checks), [check.text for check in checks]
    assert int(str(figures["single_lost"])) > 0
    assert int(str(figures["single_accepted_by_fallback"])) > 0
