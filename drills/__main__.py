"""``make drill DRILL=name`` (``python -m drills name``): break the local fleet on purpose, under load.

Without a name: the list. Several names, ``all``, or ``TIMES=…`` (``--times``): one after the other, with a
table at the end. Exit code 0 if everything held, 1 if not, 2 without a fleet.
"""

from __future__ import annotations

import argparse
import sys

from drills import broker_lost, series
from drills.broker_cuts import BROKER_FLAP, BROKER_HALFOPEN
from drills.broker_demoted import BROKER_DEMOTED
from drills.broker_failover import BROKER_FAILOVER
from drills.broker_outage import BROKER_BLACKHOLE, BROKER_HANG, BROKER_KILL
from drills.busy_producer import BUSY_PRODUCER
from drills.child_kill import CHILD_KILL
from drills.drill import Drill
from drills.far_etas import drill as far_etas
from drills.fleet import Fleet
from drills.history import drill as history
from drills.leak import LEAK
from drills.long_task import LONG_TASK
from drills.poison import POISON
from drills.releases import drills as releases
from drills.releases.cli import DEPLOYS_CLI
from drills.report import Report
from drills.rotate import ROTATE
from drills.scale_in import SCALE_IN
from drills.sqs_outage import BOTH_DOWN, FALLBACK_DOWN
from drills.stuck import drill as stuck
from drills.tools.drills import DRILLS as TOOLS
from drills.unattended import UNATTENDED
from drills.worker_kill import WORKER_KILL
from local.ending import exit_when_told
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
        BROKER_DEMOTED,
        ROTATE,
        BUSY_PRODUCER,
        FALLBACK_DOWN,
        BOTH_DOWN,
        UNATTENDED,
        WORKER_KILL,
        CHILD_KILL,
        LONG_TASK,
        SCALE_IN,
        POISON,
        LEAK,
        DEPLOYS_CLI,
    )
}

ALL = "all"
# Those with servers of their own, with their faults.
ALONE = {
    history.NAME: history.FAULT,
    broker_lost.NAME: broker_lost.FAULT,
    far_etas.NAME: far_etas.FAULT,
    stuck.NAME: stuck.FAULT,
    **{name: fault for name, (fault, _) in TOOLS.items()},
    **{name: fault for name, (fault, _) in releases.DRILLS.items()},
}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m drills", description=__doc__)
    parser.add_argument("names", nargs="*", type=_known, metavar="name", help="which; without one, the list")
    parser.add_argument("--times", type=_at_least_once, default=1, help="run them so often, in turn")
    parser.add_argument("--short", action="store_true", help="the form that `make test` runs")
    parser.add_argument("--seeds", type=_at_least_once, default=10, help=f"of `{history.NAME}`: how many")
    parser.add_argument("--first", type=_at_least_once, default=1, help=f"of `{history.NAME}`: the first")
    parser.add_argument(
        "--rigs", type=_at_least_once, default=1, help=f"of `{history.NAME}`: so many side by side"
    )
    parser.add_argument(
        "--many", type=_at_least_once, default=far_etas.MANY, help=f"of `{far_etas.NAME}`: so many on Redis"
    )
    parser.add_argument(
        "--shrink",
        choices=("yes", "no"),
        default="yes",
        help="of failing seeds: their shortest prefixes",
    )
    given = parser.parse_args()
    if not given.names:
        print(listing())
        return 0
    # Servers and workers are ended by what waits for them, so this process must not just vanish.
    exit_when_told()
    if given.names == [history.NAME]:
        seeds = range(given.first, given.first + given.seeds)
        return _finish(history.run(seeds, rigs=given.rigs, shrink=given.shrink == "yes"))
    if given.names == [broker_lost.NAME]:
        return _finish(broker_lost.run())
    if given.names == [far_etas.NAME]:
        return _finish(far_etas.run(given.many))
    if given.names == [stuck.NAME]:
        return _finish(stuck.run(short=given.short))
    if len(given.names) == 1 and given.names[0] in TOOLS:
        return _finish(TOOLS[given.names[0]][1]())
    if len(given.names) == 1 and given.names[0] in releases.DRILLS:
        return _finish(releases.run(given.names[0], short=given.short))
    for name in ALONE:
        if name in given.names:
            parser.error(f"{name} has servers of its own: run it alone")
    try:
        fleet = Fleet(Places.from_environment())
    except NotUp as error:
        print(error, file=sys.stderr)
        return 2
    chosen = list(DRILLS.values()) if ALL in given.names else [DRILLS[name] for name in given.names]
    if len(chosen) * given.times > 1:
        return 0 if series.run(fleet, chosen, times=given.times, short=given.short) else 1
    (drill,) = chosen
    print(f"{drill.name}: {drill.fault}", flush=True)
    return _finish(drill.run(fleet, given.short))


def _finish(report: Report) -> int:
    print(report.table())
    print(f"kept in {report.write()}")
    return 0 if report.holds else 1


def _known(name: str) -> str:
    if name not in DRILLS and name not in (ALL, *ALONE):
        known = ", ".join([*DRILLS, *ALONE])
        raise argparse.ArgumentTypeError(f"there is no drill {name!r}: one of {known}, or {ALL}")
    return name


def _at_least_once(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of times: 1 or more")
    return int(text)


def listing() -> str:
    """Every drill with its fault."""
    width = max(map(len, DRILLS))
    lines = [f"  {name.ljust(width)}  {drill.fault}" for name, drill in sorted(DRILLS.items())]
    everything = f"  {ALL.ljust(width)}  each of these; with TIMES=3, three times over"
    alone = [f"  {name.ljust(width)}  {fault}" for name, fault in ALONE.items()]
    return "\n".join(["make drill DRILL=…", *lines, everything, *alone])


if __name__ == "__main__":
    sys.exit(main())
