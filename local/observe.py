"""`make observe`: a Prometheus on the running local fleet, until Ctrl-C or `make down`.

The lock on `Places.observer` is Prometheus's own, so that `make down` finds one whose command was killed.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
import time
from typing import IO

from local import observer, prometheus
from local.agent.scraping import free_port
from local.down import supervisor_pid
from local.ending import exit_when_told
from local.places import Places

_LOOK_SECONDS = 0.5
_READY_SECONDS = 30.0
_NOT_INSTALLED = f"""{prometheus.NAME} is not installed on this machine. On Debian and Ubuntu, as root:
  apt-get install {prometheus.NAME}
Elsewhere: https://prometheus.io/download/, and the folder with `{prometheus.NAME}` on PATH."""


def main() -> int:
    """0 when it was told to end, or the fleet ended; 1 if Prometheus ended by itself; 2 if it can't start."""
    places = Places.from_environment()
    if supervisor_pid(places) is None:
        print("the local fleet is not up: make up", file=sys.stderr)
        return 2
    if shutil.which(prometheus.NAME) is None:
        print(_NOT_INSTALLED, file=sys.stderr)
        return 2
    exit_when_told()
    with places.observer.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"it runs already: {observer.address(places) or 'a moment ago'}", file=sys.stderr)
            return 2
        return _observe(places, lock)


def _observe(places: Places, lock: IO[str]) -> int:
    port = free_port()
    process = prometheus.start(places.prometheus, targets=places.scraped, port=port, lock=lock)
    try:
        lock.truncate(0)
        lock.write(json.dumps({"pid": process.pid, "port": port}))
        lock.flush()
        address = observer.address(places)
        if prometheus.ready(process, address or "", seconds=_READY_SECONDS):
            print(f"Prometheus: {address}   (rules, alerts; make picture draws the dashboard)", flush=True)
        while process.poll() is None and supervisor_pid(places) is not None:
            time.sleep(_LOOK_SECONDS)
        if process.poll() is not None and supervisor_pid(places) is not None:
            print(f"Prometheus has ended: {places.prometheus / prometheus.LOG}", file=sys.stderr)
            return 1
    except KeyboardInterrupt:
        print()
    finally:
        _stop(process)
    return 0


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(observer.END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
