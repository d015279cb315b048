"""`rotate`: the broker's password is rotated, by the operators' command, while everybody publishes and works.

All connections are cut twice: while the broker takes both passwords and some processes still log in with the
old one, and when it takes the new one alone. In the short form processes have no time to follow before that:
whoever is refused reads the password anew.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import redis
from taskfleet.contract.environment import ENVIRONMENT, FALLBACK

from drills.drill import Drill, Event, Observed, common_checks, common_figures, observe
from drills.fleet import Fleet
from drills.load import Load
from drills.report import Check, Report
from local.account import OPERATOR
from local.broker.faults import Fault

SHORT_FOLLOW_SECONDS = 2.0
_AT_MOST_SECONDS = 300.0


class Rotation:
    """The command under way."""

    def __init__(self, fleet: Fleet, *options: str) -> None:
        self._fleet = fleet
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.old = fleet.broker_password()

    def start(self) -> None:
        """Give the broker another password."""
        environment: Mapping[str, str] = {**self._fleet.environment, "AWS_ACCESS_KEY_ID": OPERATOR}
        command = [str(Path(sys.executable).with_name("fleet")), "-e", environment[ENVIRONMENT.name]]
        command += ["broker", "rotate-password", "--yes", "--again", *self._options]
        self._process = subprocess.Popen(command, env=environment)

    def wait(self) -> None:
        """Until it has ended. Raises ``RuntimeError`` if it could not."""
        if self._process is None or self._process.wait(_AT_MOST_SECONDS) != 0:
            raise RuntimeError("the password was not rotated; what the command said is above")

    def taken(self, password: str) -> bool:
        """Whether the broker takes this password now."""
        try:
            with self._fleet.broker(password) as client:
                return bool(client.ping())
        except redis.AuthenticationError:
            return False


def _run(fleet: Fleet, short: bool) -> Report:
    load = Load(rate=40 if short else 60, seconds=25 if short else 150)
    rotation = Rotation(fleet, *(("--follow-seconds", str(SHORT_FOLLOW_SECONDS)) if short else ()))

    def end() -> None:
        rotation.wait()
        fleet.fault(Fault.CUT)

    events = [
        Event(2.0 if short else 10.0, "rotation begins", rotation.start),
        Event(7.0 if short else 45.0, "connections cut", lambda: fleet.fault(Fault.CUT)),
        Event(7.5 if short else 46.0, "rotated", end),
    ]
    seen = observe(fleet, "rotate", load, events, settle_seconds=60 if short else 120, short=short)
    return report(
        seen, old_taken=rotation.taken(rotation.old), new_taken=rotation.taken(fleet.broker_password())
    )


def report(seen: Observed, *, old_taken: bool, new_taken: bool) -> Report:
    """What held, given whether the broker takes the old password and the secret's."""
    unexplained = duplicates_unexplained(seen)
    checks = [
        *common_checks(seen),
        Check("the broker refuses the old password, and takes the secret's", new_taken and not old_taken),
        Check(
            f"executed twice only what SQS took while Redis' answer was lost: {unexplained} others",
            unexplained == 0,
        ),
    ]
    return Report(name="rotate", checks=checks, figures=common_figures(seen))


def duplicates_unexplained(seen: Observed) -> int:
    """Tasks that were executed more than once, and that Redis alone accepted."""
    to_sqs = {publish.n for publish in seen.publishes if publish.broker == FALLBACK}
    times = Counter(execution.n for execution in seen.executions)
    return sum(many > 1 and n not in to_sqs for n, many in times.items())


ROTATE = Drill("rotate", "the broker's password is rotated, and every connection cut twice meanwhile", _run)
