"""``python -m local status``: the processes of the local fleet, and containers that do not stay up."""

from __future__ import annotations

from local.broken import broken
from local.down import supervisor_pid
from local.places import Places
from local.ports import Ports
from local.supervisor.status import Status


def main() -> int:
    """Exit code 0 if the fleet is up."""
    places = Places.from_environment()
    status = Status.read(places.status)
    if supervisor_pid(places) is None or status is None:
        print("the local fleet is not up: `make up`")
        if status is not None and status.failed:
            print(f"it ended because {status.failed}")
        return 1
    print(f"  {'supervisor':<12} running     pid {status.supervisor}")
    for name, child in status.children.items():
        again = f", started again {child.restarts} times" if child.restarts else ""
        pid = f"pid {child.pid}" if child.pid else "no process"
        print(f"  {name:<12} {child.state:<11} {pid}{again}{f'  ({child.note})' if child.note else ''}")
        if child.cost:
            print(f"  {'':<12} {child.cost}")
    ports = Ports.load(places.ports)
    said = broken(places, ports) if ports is not None else ""
    if said:
        print(f"\n{said}")
    return 0
