"""A producer's process for `test_leasing`: says where each publish went, or why it was refused."""

from __future__ import annotations

import os
import sys
import threading

from celery import Celery
from taskfleet import install
from taskfleet.errors import TaskfleetError
from taskfleet.publishing import leasing, memory, pointer
from taskfleet.releases.lease import Lease
from taskfleet.releases.leases import Leases

writes: list[Lease] = []
_write = Leases.write


def _counted(store: Leases, lease: Lease) -> None:
    writes.append(lease)
    _write(store, lease)


def _publish(app: Celery) -> str:
    try:
        app.send_task("shop.order", queue="low")
    except TaskfleetError as error:
        return f"{type(error).__name__}: {error}"
    return f"low.{app.taskfleet.releases._current.known}"


def one_by_one(app: Celery) -> None:
    """One publish, and one more for each line that comes in."""
    leasing.LEASE_SECONDS = pointer.LEASE_SECONDS = 2.0  # type: ignore[attr-defined]
    memory.UNLEASED_SECONDS = memory.ASKING_SECONDS = 1.0  # type: ignore[attr-defined]
    print(_publish(app), flush=True)
    for _ in sys.stdin:
        print(_publish(app), flush=True)


def crowd(app: Celery) -> None:
    """Ten threads publish, and a child that is made beside them."""

    def work() -> None:
        for _ in range(10):
            app.send_task("shop.order", queue="low")

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lease = app.taskfleet.publisher._lease
    _until_written()
    assert lease._since is not None
    child = os.fork()
    if not child:
        writes.clear()
        app.send_task("shop.order", queue="low")
        _until_written()
        os._exit(0)
    os.waitpid(child, 0)
    print(os.getpid(), child, len(writes))


def _until_written() -> None:
    """Then a moment more, for one that would be too many."""
    while not writes or writes[-1].pid != os.getpid():
        threading.Event().wait(0.05)
    threading.Event().wait(0.3)


if __name__ == "__main__":
    Leases.write = _counted  # type: ignore[method-assign]
    leasing.FIRST_SECONDS = 0.1  # type: ignore[attr-defined]
    {"one-by-one": one_by_one, "crowd": crowd}[sys.argv[1]](install(Celery("shop")))
