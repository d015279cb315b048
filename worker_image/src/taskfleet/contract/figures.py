"""What workers count of each queue and task name, and where: whole numbers that can be added up.

A minute of a release is one hash in Redis: a field for each queue and task, with a JSON object of counts.
"""

from __future__ import annotations

# Minutes are kept for so long.
KEEP_SECONDS = 3 * 3600
# Workers hand over what they counted so often.
EVERY_SECONDS = 10.0

# Names that a worker, and a minute, knows apart; all others of a queue are `OTHER`. The same of the exception
# types of one task.
MOST_NAMES = 500
MOST_EXCEPTIONS = 20
OTHER = "other"

# How a run can end; each is a count `outcome:<how>`, and a field of `taskfleet.measuring.tasks.Figures`.
SUCCEEDED, FAILED, RETRIED, REJECTED = "succeeded", "failed", "retried", "rejected"
IGNORED, REVOKED, EXPIRED, LOST = "ignored", "revoked", "expired", "lost"
OUTCOMES = (SUCCEEDED, FAILED, RETRIED, REJECTED, IGNORED, REVOKED, EXPIRED, LOST)

OUTCOME = "outcome"
EXCEPTION = "exception"  # :<type>
# :<bucket> and :SUM (`taskfleet.measuring.histogram`); a wait's have the priority before that
RUNTIME, WAIT, MEMORY = "runtime", "wait", "memory"
SUM = "sum"
PARTS = 1_000_000  # a sum is in millionths of a second, or of a gibibyte
UNSURE_WAIT, UNKNOWN_WAIT = "unsure", "unknown"

# All of these expire.
MINUTES, SENDERS = "taskfleet:figures:", "taskfleet:figures-of:"
_BETWEEN = "\n"


def prefix(environment: str, release: str) -> str:
    """What the keys of a release's minutes begin with."""
    return f"{MINUTES}{environment}:{release}:"


def key(environment: str, release: str, minute: int) -> str:
    """The hash of one minute, a number of minutes since the epoch."""
    return f"{prefix(environment, release)}{minute}"


def sender(worker: str) -> str:
    """Which number a worker's last addition had."""
    return f"{SENDERS}{worker}"


def name(queue: str, task: str) -> str:
    """The field of a task in a logical queue."""
    return f"{queue}{_BETWEEN}{task}"


def split(field: str) -> tuple[str, str]:
    """The queue and the task of a field."""
    queue, _, task = field.partition(_BETWEEN)
    return queue, task
