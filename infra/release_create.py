"""The stack of a release that is made: what failed stays for a look, and goes before the next try.

CloudFormation takes a stack back whose create fails, and with it what could be looked at: its logs, its
tasks' reasons, its resources. The release's own is left, and only a create: an update that fails goes back to
what it was. The controller puts what is left to sleep, and deletes it after ``keep_failed_seconds``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from taskfleet import stacks
from taskfleet.contract import names

from infra.settings import Settings

# A create that has failed: all that is left of the stack is its record, or what `--no-rollback` left.
FAILED_CREATE = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")
NOT_YET = (None, "REVIEW_IN_PROGRESS", *FAILED_CREATE)
_GOING = ("DELETE_IN_PROGRESS", "DELETE_FAILED")


def commands(settings: Settings, command: Sequence[str], release: str) -> tuple[list[str], list[str]] | None:
    """What deploys the long-lived stacks, and what then makes the release's; None for another command."""
    everything = f"{settings.name}/*"
    if everything not in command:
        return None
    base = [f"{settings.name}/{part}" for part in names.LONG_LIVED]
    own = [f"{settings.name}/release-{release}", "--exclusively", "--no-rollback"]
    return _with(command, everything, base), _with(command, everything, own)


def _with(command: Sequence[str], one: str, others: Sequence[str]) -> list[str]:
    return [word for each in command for word in (others if each == one else (each,))]


def is_new(settings: Settings, cloudformation: Any, release: str) -> bool:
    """Whether its stack is to be made. What an earlier try left of it is deleted, and waited for."""
    name = names.release_stack(settings.name, release)
    status = _status(cloudformation, name)
    if status in (*FAILED_CREATE, *_GOING):
        print(f"{name} is {status} since an earlier deploy: it is deleted first", flush=True)
        stacks.delete(cloudformation, name, environment=settings.name, owner=settings.owner, wait=True)
    return status in (*NOT_YET, *_GOING)


def left(settings: Settings, cloudformation: Any, release: str) -> Iterator[str]:
    """For a person: what a deploy that failed left of it."""
    name = names.release_stack(settings.name, release)
    if (status := _status(cloudformation, name)) in FAILED_CREATE:
        yield (
            f"{name} is {status} and stays for {settings.keep_failed_seconds} s, its workers asleep: see its "
            "events in CloudFormation, and its logs. A deploy of the same release deletes it first; "
            f"`fleet release retire {release} --yes` deletes it now"
        )


def _status(cloudformation: Any, name: str) -> str | None:
    stack = stacks.find(cloudformation, name)
    return stack["StackStatus"] if stack else None
