"""A small fleet of a drill's own: a Valkey, an AWS account, and workers that are started again."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from taskfleet import aws
from taskfleet.brokers.redis import counts
from taskfleet.contract import names
from taskfleet.contract.environment import APP, BROKER, CONCURRENCY, ENVIRONMENT, EXECUTION, FALLBACK, PRIMARY

from drills.chance import one_of
from drills.tools.app import app
from drills.worker import Worker
from tests.support.ministack import MiniStack
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet
from tests.support.valkey import Valkey

RELEASE = "r1"
_START_SECONDS = 180.0


class Rig:
    """``fleet`` is the environment; what this process publishes goes there."""

    def __init__(self, fleet: TinyFleet, valkey: Valkey, replica: Valkey | None = None) -> None:
        self.fleet, self.valkey, self.replica = fleet, valkey, replica
        self._workers: list[Worker] = []
        self.killed: list[float] = []

    def start_workers(
        self,
        many: int,
        *,
        slots: int = 2,
        on_sqs: int = 0,
        execution: str = "prefork",
        application: str = "drills.tools.app:app",
        queues: str = "low",
    ) -> Sequence[Worker]:
        """So many workers on Redis, and so many on SQS, in this order; returns when all are ready."""
        for broker in [PRIMARY] * many + [FALLBACK] * on_sqs:
            variables = {
                APP.name: application,
                BROKER.name: broker,
                CONCURRENCY.name: str(slots),
                EXECUTION.name: execution,
            }
            name = f"worker-{len(self._workers)}"
            self._workers.append(Worker(self.fleet, name, RELEASE, queues, variables=variables))
            self._workers[-1].start()
        for worker in self._workers:
            worker.wait(seconds=_START_SECONDS)
        return tuple(self._workers)

    def kill_one(self) -> None:
        """A worker, whichever."""
        one_of(self._workers).kill()
        self.killed.append(time.time())

    def stop_workers(self) -> None:
        """End all of them."""
        while self._workers:
            self._workers.pop().stop()

    def restart_redis(self) -> None:
        """Kill it; it is back after a second, with its data."""
        self.valkey.kill()
        time.sleep(1)
        self.valkey.start()
        self.killed.append(time.time())

    def did(self) -> list[dict[str, Any]]:
        """What the tasks wrote, in the order of time."""
        return sorted(self.fleet.events("did"), key=lambda line: float(line["at"]))

    def left(self, *queues: str) -> int:
        """Messages on both brokers, those that wait for their ETA too; of `low` if nothing is named."""
        client = self._primary.client()
        versioned = [names.versioned_queue(queue, RELEASE) for queue in queues or ("low",)]
        counted = counts.read(client, versioned).values()
        on_redis = sum(each.waiting + each.scheduled for each in counted) + int(client.hlen("unacked"))
        return on_redis + sum(self.fleet.waiting_on_sqs(queue, RELEASE) for queue in queues or ("low",))

    @property
    def second(self) -> Valkey:
        """The replica. Raises ``LookupError`` without one."""
        if self.replica is None:
            raise LookupError("this rig's Redis has no replica")
        return self.replica

    @property
    def _primary(self) -> Valkey:
        """The one that answers."""
        return self.replica if self.replica is not None and not self.valkey.answers() else self.valkey


@contextlib.contextmanager
def rig(*, log: bool = True, replica: bool = False, confirmed: tuple[str, ...] = ()) -> Iterator[Rig]:
    """Start the servers, bind the application to them, and end everything afterwards.

    ``log``: whether Redis has one on disk; with a ``replica`` the queues in ``confirmed`` are.
    """
    with tempfile.TemporaryDirectory(prefix="taskfleet-drill-") as name, contextlib.ExitStack() as ends:
        directory = Path(name)
        valkey, account = Valkey(directory, durable=log), MiniStack(directory)
        ends.callback(valkey.stop)
        valkey.start()
        second = _replica(directory / "replica", valkey, ends) if replica else None
        ends.callback(account.stop)
        account.start()
        fleet = TinyFleet("drill", directory, valkey, account)
        ends.callback(fleet.close)
        fleet.deploy(RELEASE, confirmed=confirmed)
        fleet.promote(RELEASE)
        os.environ.update(
            account.environment, SSL_CERT_FILE=str(fleet.front.ca), **{ENVIRONMENT.name: "drill"}
        )
        aws._clients.after_fork()  # those of the rig before know another account
        app.taskfleet.bind(fleet.settings())
        made = Rig(fleet, valkey, second)
        ends.callback(made.stop_workers)
        yield made


def _replica(directory: Path, primary: Valkey, ends: contextlib.ExitStack) -> Valkey:
    directory.mkdir()
    made = Valkey(directory, replica_of=primary)
    ends.callback(made.stop)
    made.start()
    wait_for(lambda: _is_in_sync(made), what="a replica in sync")
    return made


def _is_in_sync(replica: Valkey) -> bool:
    info: Any = replica.client().info("replication")
    return bool(info["master_link_status"] == "up")
