"""``make drill DRILL=name`` (``python -m drills name``): break the local fleet on purpose, under load.

Without a name: the list. Exit code 0 if everything held, 1 if not, 2 without a fleet.
"""

from __future__ import annotations

import argparse
import sys

from drills.broker_cuts import BROKER_FLAP, BROKER_HALFOPEN
from drills.broker_failover import BROKER_FAILOVER
from drills.broker_outage import BROKER_BLACKHOLE, BROKER_HANG, BROKER_KILL
from drills.child_kill import CHILD_KILL
from drills.drill import Drill
from drills.fleet import Fleet
from drills.leak import LEAK
from drills.long_task import LONG_TASK
from drills.poison import POISON
from drills.scale_in import SCALE_IN
from drills.sqs_outage import BOTH_DOWN, FALLBACK_DOWN
from drills.worker_kill import WORKER_KILL
from local.fleet_environment import NotUp
from local.places import Places

DRILLS: dict[str, Drill] = {
    drill.name: drill
    for drill in (
        BROKER_KILL,
        BROKER_HANG,
        BROKER_BLACKHOLE,
        BROKER_HALFOPEN,
        BROKER_FLAP,
        BROKER_FAILOVER,
        FALLBACK_DOWN,
        BOTH_DOWN,
        WORKER_KILL,
        CHILD_KILL,
        LONG_TASK,
        SCALE_IN,
        POISON,
        LEAK,
    )
}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m drills", description=__doc__)
    parser.add_argument("name", nargs="?", choices=sorted(DRILLS), help="which one; without it, the list")
    parser.add_argument("--short", action="store_true", help="the form that `make test` runs")
    given = parser.parse_args()
    if given.name is None:
        print(listing())
        return 0
    try:
        fleet = Fleet(Places.from_environment())
    except NotUp as error:
        print(error, file=sys.stderr)
        return 2
    drill = DRILLS[given.name]
    print(f"{drill.name}: {drill.fault}", flush=True)
    report = drill.run(fleet, given.short)
    print(report.table())
    print(f"kept in {report.write()}")
    return 0 if report.holds else 1


def listing() -> str:
    """Every drill with its fault."""
    width = max(map(len, DRILLS))
    lines = [f"  {name.ljust(width)}  {drill.fault}" for name, drill in sorted(DRILLS.items())]
    return "\n".join(["make drill DRILL=…", *lines])


if __name__ == "__main__":
    sys.exit(main())
