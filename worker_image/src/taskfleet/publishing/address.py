"""From the queue that a task names to the versioned queue that it goes to."""

from __future__ import annotations

from typing import NamedTuple

from taskfleet.contract import names
from taskfleet.errors import UnknownQueue
from taskfleet.publishing.pointer import Releases

# Of an application that configures none (Celery's default of `task_default_queue`).
CELERYS_DEFAULT_QUEUE = "celery"


class Address(NamedTuple):
    """A versioned queue, its two parts, whether a publish to it waits for a replica, and its farthest ETA.

    An ETA beyond ``etas_beyond`` waits in the table of ETAs.
    """

    queue: str
    logical: str
    release: str
    confirmed: bool
    longest_countdown: int | None = None
    etas_beyond: int | None = None


def versioned(
    queue: str, *, bound_release: str | None, releases: Releases, root: str | None = None
) -> Address:
    """The address of a logical or an already versioned queue.

    A versioned name is kept: a retry goes back to the queue that its task came from. A task that names no
    queue goes to the release's default queue. A workflow, by its ``root``, may go to a release that is in its
    canary. Raises
    `UnknownQueue` for a queue that the release does not have (its tasks would never run), and
    `taskfleet.errors.PointerUnknown`.
    """
    parts = names.split_versioned_queue(queue)
    logical, release = parts or (queue, bound_release or _followed(queue, root, releases))
    known = releases.queues(release)
    if logical == CELERYS_DEFAULT_QUEUE and logical not in known:
        logical = releases.default_queue(release) or logical
    if logical not in known:
        known = releases.queues_anew(release)
    if logical not in known:
        raise UnknownQueue(
            f"release {release} has no queue {logical!r}, so nothing would run the task. "
            f"Its queues: {', '.join(sorted(known))}. "
            "A new queue needs a pool in infra/environments.py and a deploy."
        )
    return Address(
        names.versioned_queue(logical, release),
        logical,
        release,
        logical in releases.confirmed(release),
        releases.longest_countdown(logical, release),
        releases.etas_beyond(release),
    )


def _followed(queue: str, root: str | None, releases: Releases) -> str:
    """What is not bound: to the current release, or for a share of workflows to the one in its canary."""
    canary = None if root is None else releases.canary(root)
    # What the current release alone has is published to it until the other takes over.
    if canary is not None and queue in (CELERYS_DEFAULT_QUEUE, *releases.queues(canary)):
        return canary
    return releases.current()
