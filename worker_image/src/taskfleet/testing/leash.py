"""A child must not outlive the process that started it, whatever kills that.

On Linux the kernel sees to it. Elsewhere the child is started by this module as a script, which looks
every second whether its parent is still the one that started it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent: int) -> Callable[[], None] | None:
    """To be called in the child before it becomes its command; None where the kernel has no such thing.

    The kernel's parent is a thread: a child that another than the main thread starts is left alone, since
    that thread may end long before the process does.
    """
    if not sys.platform.startswith("linux") or threading.current_thread() is not threading.main_thread():
        return None
    prctl = ctypes.CDLL(None).prctl

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel was asked
            os._exit(1)

    return before_exec


def leashed(command: Sequence[str]) -> list[str]:
    """The command to start instead, where the kernel does not help."""
    if sys.platform.startswith("linux"):
        return list(command)
    return [sys.executable, "-m", "taskfleet.testing.leash", str(os.getpid()), *command]


def _main(parent: int, command: Sequence[str]) -> int:
    child = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    while child.poll() is None:
        if os.getppid() != parent:
            child.kill()
        time.sleep(1)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


if __name__ == "__main__":
    sys.exit(_main(int(sys.argv[1]), sys.argv[2:]))
