"""The short form of the two drills that touch most: one of the brokers, one of the workers.

The others take `make drill DRILL=name`: all of them here would double the time of `make test`.
"""

from __future__ import annotations

import pytest

from drills.__main__ import DRILLS
from tests.fleet.deployed import Deployed


@pytest.mark.parametrize("name", ["broker-kill", "worker-kill"])
def test_the_short_form_holds(fleet: Deployed, name: str) -> None:
    report = DRILLS[name].run(fleet.drill(), True)

    assert report.holds, report.table()
