"""Hold containers to their memory limit, as the kernel does where they have a cgroup of their own.

Over the limit, the process of the container that holds most is killed: a worker's child is replaced by
its parent, the command itself ends the task. Without ``/proc`` nothing is measured, and the agent says
so when it starts.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Iterable

from local.agent import procfs
from local.agent.definitions import MIB
from local.agent.task import Task

_log = logging.getLogger(__name__)


def enforce(tasks: Iterable[Task]) -> None:
    """Look once at every task that has a limit."""
    limited = {
        task.process.session: (task, task.definition.memory_bytes)
        for task in tasks
        if task.process is not None and task.definition is not None and task.definition.memory_bytes
    }
    members: dict[int, list[procfs.Process]] = {session: [] for session in limited}
    for process in procfs.processes() if limited else ():
        # The session's first process is our own init, not part of the container.
        if process.session in members and process.pid != process.session:
            members[process.session].append(process)
    for session, (task, limit) in limited.items():
        _enforce(task, members[session], limit)


def _enforce(task: Task, members: list[procfs.Process], limit: int) -> None:
    # RSS counts what forked children share once for each of them; it is cheap, and never too low.
    if sum(process.rss_bytes for process in members) <= limit:
        return
    held = {process.pid: procfs.pss_bytes(process.pid) for process in members}
    if sum(held.values()) <= limit:
        return
    largest = max(held, key=lambda pid: held[pid])
    is_main = task.process is not None and largest == task.process.pid
    _log.warning(
        "%s: out of memory: %d processes hold %d MiB, the limit is %d MiB; killed process %d (%s, %d MiB)",
        task.label,
        len(held),
        sum(held.values()) // MIB,
        limit // MIB,
        largest,
        "the command itself" if is_main else "a child",
        held[largest] // MIB,
    )
    task.out_of_memory = task.out_of_memory or is_main
    with contextlib.suppress(ProcessLookupError):
        os.kill(largest, signal.SIGKILL)
