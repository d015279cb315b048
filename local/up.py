"""`make up`: a whole fleet on this machine, deployed by the real `cdk deploy`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from local import cdk, page, shell, steady
from local.down import down, forget, supervisor_pid
from local.last_words import last_words
from local.places import REPOSITORY, VARIABLE, Places
from local.ports import Ports
from local.progress import Step, step
from local.supervisor.status import State, Status

_PROCESSES_SECONDS = 60.0
_SERVICES_SECONDS = 120.0
_RELEASE_SECONDS = 120.0
# Linux takes 107 bytes, macOS 103.
_LONGEST_SOCKET_PATH = 103
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class CannotStart(Exception):
    """Why the processes do not run, and what to do."""


def up(places: Places) -> None:
    """Everything, from nothing or from what is there. Raises what `main` explains."""
    ports = _start(places)
    with step("Bootstrap the emulated account") as doing:
        if steady.bootstrapped(ports):
            doing.note("was there")
        else:
            cdk.bootstrap(places, ports)
    with step('cdk deploy "local/*"') as doing:
        cdk.deploy(places, ports, watch=_watch(doing))
    shell.write(places, ports, result_backend=steady.result_backend(ports))
    with step("Services are steady") as doing:
        services = steady.wait_for_services(ports, seconds=_SERVICES_SECONDS, tell=doing.tell)
    with step("A release is current") as doing:
        release = steady.wait_for_release(ports, seconds=_RELEASE_SECONDS)
        doing.note(release)
    page.show(places, ports, services, release)


def _start(places: Places) -> Ports:
    too_many = len(os.fsencode(places.results_control)) - _LONGEST_SOCKET_PATH
    if too_many > 0:
        raise CannotStart(
            f"{places.root} is {too_many} characters too long for a Unix socket in it: "
            f"set {VARIABLE} to a shorter folder"
        )
    with step("Start broker, AWS account and agent") as doing:
        places.logs.mkdir(parents=True, exist_ok=True)
        if supervisor_pid(places) is not None:
            doing.note("were running")
        else:
            _clear(places, doing)
            started = _start_supervisor(places)
            try:
                return _await_processes(places, doing)
            except BaseException:
                if supervisor_pid(places) is None:  # too young for `make down` to know it
                    started.terminate()
                    started.wait()
                raise
        return _await_processes(places, doing)


def _start_supervisor(places: Places) -> subprocess.Popen[bytes]:
    with (places.logs / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "local.supervisor"],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _clear(places: Places, doing: Step) -> None:
    """What an `up` before left: nothing, an account to go on with, or half an account."""
    if places.interrupted.exists():
        doing.note("the account was lost in a deployment; made anew")
        down(places)
    down(places, keep_account=True)
    places.status.unlink(missing_ok=True)  # only what the new supervisor says counts
    if not places.account.exists():
        shutil.rmtree(places.logs, ignore_errors=True)  # of another fleet, that is gone
        places.logs.mkdir(parents=True)
    known = Ports.load(places.ports)
    if known is not None and (taken := known.taken()):
        if places.account.exists():
            raise CannotStart(
                f"other processes have the ports {', '.join(map(str, taken))} now, which this fleet was "
                "deployed with: end those, or `make down` and then `make up`, which chooses others"
            )
        forget(places)


def _await_processes(places: Places, doing: Step) -> Ports:
    deadline = time.monotonic() + _PROCESSES_SECONDS
    while time.monotonic() < deadline:
        status, ports = Status.read(places.status), Ports.load(places.ports)
        if status is not None and status.failed:
            raise CannotStart(status.failed)
        if status is not None and ports is not None and supervisor_pid(places) is not None:
            waiting = [
                name
                for name, child in status.children.items()
                if child.state is not State.RUNNING and not child.waits
            ]
            if not waiting:
                return ports
            doing.tell(", ".join(waiting))
        time.sleep(0.1)
    raise CannotStart(f"the processes do not run after {_PROCESSES_SECONDS:.0f} s: see {places.logs}")


def _watch(doing: Step) -> Callable[[str], None]:
    """From the CDK's lines: which stack it works on, and how many resources are through."""

    def watch(line: str) -> None:
        if match := re.match(
            r"^(?:.*: )?([\w-]+)(?:/[\w-]+)*.*?: (deploying|creating|updating|destroying)", line
        ):
            doing.tell(f"{match[1]}: {match[2]}")
        elif match := re.match(r"^\s*([\w-]+) \|\s*(\d+(?:/\d+)?) \|", line):
            doing.tell(f"{match[1]} {match[2]}")

    return watch


def _clean_up(places: Places, was_up: bool) -> None:
    for number in _INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave half of it
    if was_up:
        print("\nInterrupted. The fleet that was running goes on; `make down` ends it.")
        return
    print("\nInterrupted: cleaning up …", flush=True)
    down(places)


def main() -> int:
    """`make up`."""
    places = Places.from_environment()
    was_up = supervisor_pid(places) is not None
    for number in _INTERRUPTS:
        signal.signal(number, signal.default_int_handler)
    began = time.monotonic()
    try:
        up(places)
    except KeyboardInterrupt:
        _clean_up(places, was_up)
        return 130
    except (CannotStart, cdk.CdkFailed, steady.NotSteady, BotoCoreError, ClientError, OSError) as error:
        said = last_words(places)
        print(f"\n{error}\n" + (f"\n{said}\n" if said else ""))
        print(f"Logs: {places.logs}   What runs goes on for a look; `make down` ends it.")
        return 1
    print(f"Up in {time.monotonic() - began:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
