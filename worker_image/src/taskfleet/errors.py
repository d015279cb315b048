"""Every error that Taskfleet raises on purpose. Each says what was wrong, what is allowed, what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kombu.exceptions import OperationalError

# The exit code of a process whose settings can't be right: starting it again will not help.
EX_CONFIG = 78


class TaskfleetError(Exception):
    """The base of them all, so that one ``except`` catches what is ours."""


class SettingsError(TaskfleetError):
    """A setting (an environment variable, a line of ``infra/environments.py``) can't be right."""


class PublishError(TaskfleetError, OperationalError):
    """No broker accepted the task. ``except task.OperationalError``, as Celery's guide has it, catches it.

    With ``may_run`` False no broker has it: it will not run unless the caller sends it again. With True one
    of them was given it and did not answer in time, so it may run: send it again under the same
    ``task_id``, which is its key (`taskfleet.idempotency_key`), and let the task be one that may run twice.
    """

    def __init__(self, message: str, *, may_run: bool = False) -> None:
        super().__init__(message)
        self.may_run = may_run


class PartlyPublished(PublishError):
    """Of a group, or of what `taskfleet.publish_many` was given, not everything was accepted.

    ``published`` tasks were, in all. The others are ``refused`` (no broker has them) or ``unknown`` (a broker
    was given them and did not answer in time); ``accepted`` went out together with them. The three are ids;
    ``may_run`` is True if any of all these may run. ``go_on()`` sends the refused and the unknown again under
    the same ids, then what was still to come, and returns how many were published in all; it raises this
    error anew while no broker answers.
    """

    def __init__(
        self,
        *,
        published: int,
        accepted: Sequence[str],
        refused: Sequence[str],
        unknown: Sequence[str],
        why: str,
        go_on: Callable[[], int],
    ) -> None:
        super().__init__(
            f"{published} tasks were published; {len(refused)} were refused, and of {len(unknown)} it is not "
            f"known. go_on() of this error sends them again under the same ids, and what was still to come. "
            f"The first: {why}",
            may_run=bool(published or unknown),
        )
        self.published, self.accepted = published, tuple(accepted)
        self.refused, self.unknown, self.go_on = tuple(refused), tuple(unknown), go_on


class MessageTooLarge(TaskfleetError):
    """The task's arguments are larger than a message may be; nothing was published."""


class InvalidTask(TaskfleetError):
    """No worker could run it: it is not JSON, or its id is no text. Nothing was published."""


class ChainTooLong(TaskfleetError):
    """The chain has more members than ``taskfleet_chain_max_members``; nothing of it was published."""


class CountdownTooLong(TaskfleetError):
    """The task's ETA is farther than its pool takes; nothing was published."""


class QueueClosed(TaskfleetError):
    """The release that this would be published to is retired; nothing was published."""


class UnknownQueue(TaskfleetError):
    """The release that this would be published to has no such queue."""


class ReleaseError(TaskfleetError):
    """A release can't make the move that was asked for."""


class PointerUnknown(ReleaseError, OperationalError):
    """The current release can't be read, and nothing was read before that could be kept.

    A producer knows no queue to publish to: ``except task.OperationalError`` catches it as `PublishError`.
    """


class PointerStale(PointerUnknown):
    """The current release can't be read, and what this process remembers is too old to publish on.

    It was suspended or idle past its lease, or could not read anything for hours. Nothing was published.
    """


class DeadLetterError(TaskfleetError):
    """A dead letter can't be sent again, or read."""


class DeadLettered(TaskfleetError):
    """The task's message was put aside as a dead letter and was not run: the result of who waits for it."""


class ControlError(TaskfleetError):
    """A remote-control command reached nobody, or has no place in the fleet."""
