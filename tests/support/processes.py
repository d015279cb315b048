"""Start a server for a test, wait until it answers, stop it by its own process id."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable

from local.ports import bind

# Between two looks: so many times what the one took.
_PAUSES, _LEAST_PAUSE_SECONDS, _MOST_PAUSE_SECONDS = 4, 0.05, 1.0


def free_port() -> int:
    """A loopback port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        return bind(probe)


def listens(port: int) -> bool:
    """Whether somebody accepts connections on the loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(happened: Callable[[], object], *, seconds: float = 60, what: str = "it") -> None:
    """Return when ``happened()`` is true; AssertionError with ``what`` after ``seconds``."""
    assert until(happened, seconds), f"{what} did not happen within {seconds:g} s"


def until(happened: Callable[[], object], seconds: float) -> bool:
    """Whether ``happened()`` became true within ``seconds``.

    A look that takes long is repeated less often: those that are awaited need the processor, too.
    """
    end = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if happened():
            return True
        now = time.monotonic()
        if now > end:
            return False
        time.sleep(min(max(_LEAST_PAUSE_SECONDS, _PAUSES * (now - began)), _MOST_PAUSE_SECONDS))


def stop(process: subprocess.Popen[bytes], *, seconds: float = 5) -> None:
    """SIGTERM, and SIGKILL if that is not enough. Fine for one that is gone already."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
