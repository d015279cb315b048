"""The first process of a container, as a tiny init: it runs the command and dies with the agent.

Run by the agent as a script of its own (``python -I -S``, no imports of ours, so that it starts in
milliseconds). It reads on its standard input what to run, as JSON: ``command``, ``environment``
(exactly what the command gets), ``directory`` and ``pid_file``. It leads a session, so that the agent
can end everything in it. SIGTERM goes to the command alone, as a container engine sends it. When the
agent dies, everything in the session is killed at once.

The command comes after everything else on the machine (`nice`): on AWS a container has a processor of
its own, and twenty workers that start at once take none away from SQS and from those who publish.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
from typing import Any

PR_SET_PDEATHSIG = 1  # linux/prctl.h
NICENESS = 5


def main() -> int:
    """The command's exit code, as a shell would tell it: 128 + the signal that ended it."""
    container = json.load(sys.stdin)
    signal.signal(signal.SIGHUP, _kill_session)
    _signal_when_parent_dies(signal.SIGHUP)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until somebody is there to get it
    told, tell = os.pipe()  # closed by the kernel when the command begins
    child = os.fork()
    if child == 0:
        _become(container, tell)
    os.close(tell)
    signal.signal(signal.SIGTERM, lambda *_: _forward(child))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    _watch_parent(container["agent"])
    if not os.read(told, 1):
        with open(container["pid_file"], "w") as file:
            file.write(str(child))
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _become(container: dict[str, Any], tell: int) -> None:
    """In the fork: be the command, with its environment and nothing else. Says on ``tell`` if it can't."""
    _signal_when_parent_dies(signal.SIGKILL)
    for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGINT, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    os.nice(NICENESS)
    command = container["command"]
    try:
        os.chdir(container["directory"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.execvpe(command[0], command, container["environment"])  # noqa: S606 - no shell on purpose
    except OSError as error:
        os.write(tell, b"!")
        print(f"cannot start {command[0]!r}: {error}", file=sys.stderr, flush=True)
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _forward(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGTERM)


def _kill_session(*_: object) -> None:
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _signal_when_parent_dies(number: int) -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def _watch_parent(agent: int) -> None:
    """The agent may have died before the kernel was asked to tell; not every kernel tells: look too."""

    def look(*_: object) -> None:
        if os.getppid() != agent:
            _kill_session()

    look()
    if not sys.platform.startswith("linux"):
        signal.signal(signal.SIGALRM, look)
        signal.setitimer(signal.ITIMER_REAL, 1, 1)


if __name__ == "__main__":
    sys.exit(main())
