"""A dead letter: the message that could not be run, whole, and why."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class DeadLetterKind(StrEnum):
    """Why a message was put aside."""

    NOT_A_MESSAGE = "not-a-message"  # not JSON, or not what a Celery producer writes
    NO_TASK = "no-task"  # a message that names no task
    UNREADABLE = "unreadable"  # its body is not JSON
    UNKNOWN_TASK = "unknown-task"  # the release has no task of that name
    OTHER_RELEASE = "other-release"  # stamped for another release
    BAD_ARGUMENTS = "bad-arguments"  # the task's signature refuses them
    TOO_LARGE = "too-large"  # over `limits.MESSAGE_BODY_MAX_BYTES`
    INVALID = "invalid"  # Celery itself can't make sense of its headers
    TOO_MANY_DELIVERIES = "too-many-deliveries"  # never acknowledged, as often as that is tried
    FAILED = "failed"  # the task failed and is not retried
    RETRIES_EXHAUSTED = "retries-exhausted"  # … and had been, as often as it may
    EXPIRED = "expired"  # by the fleet's default: nobody said `expires`
    REJECTED = "rejected"  # the task said so: `Reject` without requeue
    RELEASE_RETIRED = "release-retired"  # its release was retired with it in its queue (`--park`)
    UNPUBLISHED = "unpublished"  # a chord's body or an error callback that no broker took: it never began


@dataclass(frozen=True)
class Finding:
    """Why a message must not run."""

    kind: DeadLetterKind
    reason: str


@dataclass(frozen=True, kw_only=True)
class Message:
    """The message as it was: what sending it again needs."""

    headers: Mapping[str, Any]
    properties: Mapping[str, Any]
    content_type: str | None
    content_encoding: str | None
    body: bytes


def new_id() -> str:
    """An id that a person can copy and no other letter has."""
    return uuid.uuid4().hex[:16]


def id_of(text: str) -> str:
    """An id that the same text always has."""
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Heading:
    """What a list shows. ``queue`` is logical; ``release`` and ``pool`` are those of who put it aside.

    ``at`` is when it was put aside, in seconds since the epoch. None is not known.
    """

    id: str = field(default_factory=new_id)
    queue: str
    task: str | None
    task_id: str | None
    release: str | None
    pool: str | None
    kind: DeadLetterKind
    reason: str
    at: float


@dataclass(frozen=True, kw_only=True)
class DeadLetter(Heading):
    """Everything. ``args`` is for people; the message's body has the real ones."""

    exception: str | None = None
    traceback: str | None = None
    args: str | None = None
    message: Message
