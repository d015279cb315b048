"""``python -m local.broker.failover``: promote the replica and move the endpoint, as ElastiCache does.

ElastiCache does it by itself when a primary is gone; here a person or a drill says when, because most
drills kill a primary that is to come back with its data.
"""

from __future__ import annotations

import sys
import time

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from local.broker import control, nodes
from local.broker.faults import Fault
from local.broker.nodes import Node
from local.places import Places
from local.ports import Ports

_COMES_BACK_SECONDS = 30.0


def fail_over(places: Places, ports: Ports, password: str) -> None:
    """The replica is the primary from now on, and the old one, once it is back, its replica.

    What the replica does not have is gone. Raises redis-py's errors if it does not answer, and
    ``TimeoutError`` if the old primary's process does not come back.
    """
    old, new = nodes.primary(places, ports), nodes.replica(places, ports)
    with client(new, password) as promoted:
        promoted.execute_command("REPLICAOF", "NO", "ONE")
    control.send(places.front_control, Fault.MOVE, port=new.port)
    _follow(old, new, password)


def _follow(old: Node, new: Node, password: str) -> None:
    deadline = time.monotonic() + _COMES_BACK_SECONDS
    while True:
        try:
            with client(old, password) as demoted:
                demoted.execute_command("REPLICAOF", "127.0.0.1", new.port)
            return
        except redis.ConnectionError as error:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{old.child} did not come back: {error}") from error
        time.sleep(0.2)


def client(node: Node, password: str) -> redis.Redis:
    """A connection to one node itself, past the front."""
    return redis.Redis(
        host="127.0.0.1", port=node.port, password=password, socket_timeout=5, retry=Retry(NoBackoff(), 0)
    )


def main() -> int:
    """The command line."""
    from local.supervisor.fleet import password_of  # it imports this package

    places = Places.from_environment()
    ports = Ports.load(places.ports)
    password = password_of(ports) if ports else None
    if ports is None or password is None:
        print("the local fleet is not up: make up", file=sys.stderr)
        return 1
    try:
        fail_over(places, ports, password)
    except (OSError, redis.RedisError) as error:
        print(f"no failover: {error} (has the deployed broker two nodes?)", file=sys.stderr)
        return 1
    print(f"the primary is {nodes.primary(places, ports).child}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
