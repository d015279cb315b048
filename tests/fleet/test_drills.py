"""The short form of each drill, on the deployed fleet."""

from __future__ import annotations

import pytest

from drills.__main__ import DRILLS
from drills.drill import Drill
from tests.fleet.deployed import Deployed


@pytest.mark.parametrize("drill", DRILLS.values(), ids=DRILLS.keys())
def test_the_short_form_holds(fleet: Deployed, drill: Drill) -> None:
    report = drill.run(fleet.drill(), True)

    assert report.holds, report.table()
