"""The short form of every drill, one after the other on a fleet of their own."""

from __future__ import annotations

import pytest

from drills.__main__ import DRILLS
from tests.fleet.deployed import Deployed


@pytest.mark.parametrize("name", [drill.name for drill in DRILLS.values() if drill.in_tests])
def test_the_short_form_holds(fleet: Deployed, name: str) -> None:
    report = DRILLS[name].run(fleet.drill(), True)

    assert report.holds, report.table()
