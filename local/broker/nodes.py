"""The broker's nodes on this machine, and which is the primary: the one that the endpoint leads to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from local.places import Places
from local.ports import Ports


@dataclass(frozen=True)
class Node:
    """One valkey-server. ``child`` is its name among the supervisor's processes."""

    child: str
    port: int
    directory: Path


def nodes(places: Places, ports: Ports) -> tuple[Node, Node]:
    """The first one, and the one that is there if the deployed replication group has a replica."""
    return (
        Node("broker", ports.valkey, places.broker),
        Node("broker-2", ports.replica, places.broker_2),
    )


def primary(places: Places, ports: Ports) -> Node:
    """The first one until a failover, which the front keeps (`local.broker.control`)."""
    moved = moved_to(places.broker_endpoint)
    return next((node for node in nodes(places, ports) if node.port == moved), nodes(places, ports)[0])


def replica(places: Places, ports: Ports) -> Node:
    """The other one."""
    first, second = nodes(places, ports)
    return second if primary(places, ports) == first else first


def moved_to(path: Path) -> int | None:
    """The port that the endpoint was moved to; None if it never was."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
