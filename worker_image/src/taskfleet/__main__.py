"""``python -m taskfleet worker|beat|controller|health``: what the containers run. ``image`` checks one."""

from __future__ import annotations

import argparse
import os
import sys

from taskfleet import health
from taskfleet.contract.environment import Role


def main(argv: list[str] | None = None) -> int:
    """Run one of them. Returns the exit code; a worker and beat replace this process and do not return."""
    parser = argparse.ArgumentParser(prog="python -m taskfleet", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for role in (Role.WORKER, Role.BEAT, Role.CONTROLLER):
        commands.add_parser(role.value)
    check = commands.add_parser("health", help="exit 0 if this container's main loop turns, else 1")
    check.add_argument("--stuck-after", type=float, default=health.STUCK_AFTER_SECONDS, metavar="SECONDS")
    own = commands.add_parser(
        "image", help="exit 0 if the fleet can run the image that this is run in, else 1"
    )
    own.add_argument("app", metavar="MODULE:ATTRIBUTE", help="the Celery application, as in the settings")
    chosen = parser.parse_args(argv)
    if chosen.command == "health":
        return _health(chosen.stuck_after)
    if chosen.command == "image":
        return _image(chosen.app)
    return _run(Role(chosen.command))


def _health(stuck_after_seconds: float) -> int:
    problem = health.check(stuck_after_seconds)
    print(problem or "healthy")
    return 1 if problem else 0


def _image(app: str) -> int:
    from taskfleet import image

    findings = image.check(app)
    for one in findings:
        print(f"{'ok   ' if one.ok else 'WRONG'}  {one.check}: {one.says}")
    return 0 if all(one.ok for one in findings) else 1


def _run(role: Role) -> int:
    # What this imports, Celery too, takes longer than all that `health` does, which runs every 30 s.
    from taskfleet.errors import EX_CONFIG, SettingsError

    try:
        return _become(role)
    except SettingsError as error:
        print(f"taskfleet {role.value}: {error}", file=sys.stderr)
        return EX_CONFIG


def _become(role: Role) -> int:
    from taskfleet.settings import BeatSettings, ControllerSettings, WorkerSettings

    if role is Role.CONTROLLER:
        from taskfleet.controller.main import run

        return int(run(ControllerSettings.from_environ()))
    from taskfleet.worker import command

    argv = (
        command.worker_argv(WorkerSettings.from_environ())
        if role is Role.WORKER
        else command.beat_argv(BeatSettings.from_environ())
    )
    return os.execv(argv[0], argv)  # noqa: S606 - the process id stays, so signals reach Celery


if __name__ == "__main__":
    sys.exit(main())
