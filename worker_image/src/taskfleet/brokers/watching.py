"""The small process beside a worker that renews what the worker holds while the worker itself can't.

Tasks in threads and greenlets share the worker's process: a call that holds Python's lock, or a computation
that does not yield, stops the thread that renews as well, and others would run what this worker runs. This
file is run by itself, with nothing but the standard library: ``watching.py RENEWING PID``. RENEWING is the
file with the class ``Renewing`` of a broker: ``told`` gets each JSON object that the worker PID writes, a
line each, to this process's standard input; ``renew`` is called when ``due`` (a time of the monotonic clock)
has come. It ends with the worker, and renews nothing for one that was stopped (SIGSTOP).
"""

from __future__ import annotations

import json
import os
import runpy
import select
import signal
import sys
import time

# A worker that was killed may leave children that hold its end of the pipe open: then it is looked for.
LOOK_FOR_THE_WORKER_SECONDS = 5.0
_STOPPED = "TtZX"  # proc(5): stopped, traced, dead


def is_stopped(pid: int) -> bool:
    """Whether the process was stopped. Where there is no /proc, nobody knows, and it counts as running."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] in _STOPPED
    except OSError:
        return False


def main(program: str, worker: int) -> None:
    """Until standard input or the worker ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)  # they are the worker's, which has things to end
    renewing, text = runpy.run_path(program)["Renewing"](), b""
    while True:
        wait = min(max(0.0, renewing.due - time.monotonic()), LOOK_FOR_THE_WORKER_SECONDS)
        if select.select([0], [], [], wait)[0]:
            more = os.read(0, 1 << 16)
            if not more:
                return
            *lines, text = (text + more).split(b"\n")
            for line in lines:
                renewing.told(json.loads(line))
        if os.getppid() != worker:
            return
        if time.monotonic() >= renewing.due:
            if is_stopped(worker):
                renewing.due = time.monotonic() + 1.0
            else:
                renewing.renew()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
