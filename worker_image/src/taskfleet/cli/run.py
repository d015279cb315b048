"""`fleet run`: a command in a release's image, beside its workers, followed until it ends."""

from __future__ import annotations

import shlex
import signal
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import click

from taskfleet import one_off
from taskfleet.cli.operator import Operator, asks
from taskfleet.cli.output import show_json
from taskfleet.errors import TaskfleetError
from taskfleet.one_off import Output, Place, Seen
from taskfleet.releases.commands import find
from taskfleet.releases.model import LIVE

TIMED_OUT = 124  # as the command `timeout` says it
STOPPED = 130  # as a shell says it of Ctrl-C
_LOOK_SECONDS = 1.0
_QUIET_LOOKS = 3  # CloudWatch Logs has the last lines some seconds after a task's end


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--pool", help="Whose task definition: role, size, variables, secrets. The default queue's.")
@click.option("--release", help="Whose image. The current release's.")
@click.option("--timeout", "timeout", type=click.FloatRange(min=1), help="Stop it after so many seconds.")
@asks
def run(
    operator: Operator, command: tuple[str, ...], pool: str | None, release: str | None, timeout: float | None
) -> None:
    """Run COMMAND once in a release's image, and end with its exit code.

    As in: fleet run -- python manage.py migrate

    It is a task of its own beside the workers, with their network, role, variables and secrets; it takes no
    messages. Its output is printed as it comes. Ctrl-C asks whether to stop it; without a terminal it is
    stopped. Exit codes of this command itself: 124 after --timeout, 130 after Ctrl-C, 1 if it never began.
    """
    place = _place(operator, pool, release)
    one = _OneOff(operator, place)
    with _terminated():
        try:
            one.start(command)
            code = one.until_its_end(timeout)
        except KeyboardInterrupt:
            code = one.interrupted()
    if operator.json:
        show_json({"task": one.arn, "release": place.release, "pool": place.pool, "exit_code": code})
    sys.exit(code)


class _OneOff:
    """The task, and how far its output has been printed."""

    def __init__(self, operator: Operator, place: Place) -> None:
        self._ecs, self._logs = operator.client("ecs"), operator.client("logs")
        self._place, self._name = place, f"fleet-run/{uuid.uuid4().hex}"
        self._to_stderr = operator.json  # there stdout is for scripts
        self._status = ""
        self.arn = ""

    def start(self, command: Sequence[str]) -> None:
        """Start it."""
        token = self._name.rpartition("/")[2]
        self._follow(one_off.start(self._ecs, self._place, command, token=token, started_by=self._name))
        place = f"release {self._place.release}, pool {self._place.pool}"
        _note(f"task {self.arn.rpartition('/')[2]} of {place}: {shlex.join(command)}")

    def until_its_end(self, timeout: float | None) -> int:
        """Print what it writes; its exit code, or `TIMED_OUT`. Raises `TaskfleetError` if it never began."""
        deadline = time.monotonic() + timeout if timeout else None
        while not (seen := self._look()).ended:
            if deadline is not None and time.monotonic() > deadline:
                self.stop(f"fleet run: --timeout {timeout:g} is over")
                return TIMED_OUT
            time.sleep(_LOOK_SECONDS)
        self._last_lines()
        if seen.exit_code is None:
            raise TaskfleetError(f"the task never ran: {seen.why or 'ECS gives no reason'}")
        if seen.exit_code:
            _note(f"ended with {seen.exit_code}: {seen.why}")
        return seen.exit_code

    def interrupted(self) -> int:
        """Stopped, unless a person says that it may go on alone; `STOPPED`."""
        if not self.arn:  # it may have been started, and the answer lost
            found = one_off.find(self._ecs, self._place, self._name)
            if found is None:
                return STOPPED
            self._follow(found)
        if _goes_on():
            where = f"--cluster {self._place.cluster} --task {self.arn}"
            _note(f"it goes on; stop it with: aws ecs stop-task {where}")
        else:
            self.stop("fleet run was interrupted")
        return STOPPED

    def stop(self, reason: str) -> None:
        """Stop it, and wait until it has ended: its container's stop timeout at most."""
        _note(f"{reason}; stopping it")
        one_off.stop(self._ecs, self._place, self.arn, reason)
        while not self._look().ended:
            time.sleep(_LOOK_SECONDS)
        self._last_lines()

    def _follow(self, arn: str) -> None:
        self.arn, self._output = arn, Output(self._logs, self._place, arn)

    def _look(self) -> Seen:
        # A task that was started a moment ago may not be shown yet.
        seen = one_off.look(self._ecs, self._place, self.arn) or Seen("PROVISIONING", None, "", None)
        self._print()
        if seen.status != self._status:
            self._status = seen.status
            _note(seen.status.lower())
        return seen

    def _last_lines(self) -> None:
        quiet = 0
        while quiet < _QUIET_LOOKS:
            quiet = 0 if self._print() else quiet + 1
            time.sleep(_LOOK_SECONDS)

    def _print(self) -> bool:
        lines = self._output.new()
        for line in lines:
            click.echo(line, err=self._to_stderr)
        return bool(lines)


def _place(operator: Operator, pool: str | None, release: str | None) -> Place:
    known = operator.store.scan()
    if release is None and known.pointer.version == 0:
        raise TaskfleetError("no release is current yet: name one with --release (fleet release list)")
    record = find(known.records, release or known.pointer.release)
    if record.state not in LIVE:
        raise TaskfleetError(
            f"release {record.release} is {record.state}: its stack is gone; deploy it again"
        )
    return Place(operator.environment, one_off.pool_of(record.manifest, pool), record.release)


def _goes_on() -> bool:
    try:
        return sys.stdin.isatty() and not click.confirm("\nstop the task?", default=True, err=True)
    except click.Abort:  # Ctrl-C again: that is a yes
        return False


@contextmanager
def _terminated() -> Iterator[None]:
    """SIGTERM is Ctrl-C from a script."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _note(text: str) -> None:
    click.echo(f"fleet run: {text}", err=True)
