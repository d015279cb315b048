"""What Celery publishes on a task's behalf, in its worker, out of the task's sight: an error reaches nobody.

Links, the next step of a chain, a chord's body, error callbacks, the polls of ``celery.chord_unlock``, a
replacement. Celery's code around these publishes logs an error, or makes a failure of it, and the message
that caused the publish is acknowledged. So, when no broker took it:

- the cause is given back, and runs again, where running it again publishes again (`giving_back`, and Celery's
  own callbacks of a task that succeeded);
- else the message itself is kept as a dead letter, and sent again from there (`keeping`): a chord counts its
  last task only once, and a task that failed must not run again because its error callback was not sent.

What can never be published (too large, not JSON, no such queue) stays an error. Of it, too, a dead letter is
kept where Celery would swallow it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar
from enum import Enum, auto

from billiard.exceptions import SoftTimeLimitExceeded
from botocore.exceptions import BotoCoreError, ClientError
from celery import Celery, states
from celery.app.amqp import _callback_publish_retry
from celery.exceptions import Reject

from taskfleet import aws
from taskfleet.contract import names
from taskfleet.dead_letters.dead_letter import DeadLetter
from taskfleet.dead_letters.store import DeadLetters
from taskfleet.dead_letters.unsent import Unsent
from taskfleet.dead_letters.unsent import letter as letter_of
from taskfleet.errors import PointerUnknown, PublishError, TaskfleetError
from taskfleet.logs import logger
from taskfleet.publishing.address import versioned
from taskfleet.settings import WorkerSettings

# Why something was not published, if it can be later.
NOT_YET = (PublishError, PointerUnknown)
AGAIN_SECONDS = 1.0


class _Rule(Enum):
    GIVE_BACK = auto()
    KEEP = auto()


_rule: ContextVar[_Rule | None] = ContextVar("taskfleet_on_behalf", default=None)


class _Escape(BaseException):
    """Passes Celery's ``except Exception``. Never leaves `giving_back`."""


@contextlib.contextmanager
def giving_back() -> Iterator[None]:
    """Of what no broker takes in the block, the message of the task that runs it is given back."""
    token = _rule.set(_Rule.GIVE_BACK)
    try:
        yield
    except _Escape as escape:
        raise Reject(escape.__cause__, requeue=True) from escape.__cause__
    finally:
        _rule.reset(token)


@contextlib.contextmanager
def keeping() -> Iterator[None]:
    """What no broker takes in the block is kept as a dead letter, and counts as sent."""
    token = _rule.set(_Rule.KEEP)
    try:
        yield
    finally:
        _rule.reset(token)


def refused(app: Celery, error: Exception, message: Unsent) -> None:
    """Return if the message is kept, or was accepted after all; else raise."""
    if not isinstance(app.taskfleet.settings, WorkerSettings):
        raise error
    rule, later = _rule.get(), isinstance(error, NOT_YET)
    if rule is _Rule.KEEP:
        _keep(app, error, message)
        if later:
            return
    elif rule is _Rule.GIVE_BACK:
        if later:
            raise _Escape from error
        _keep(app, error, message)
    elif later and _callback_publish_retry.get():
        raise Reject(error, requeue=True) from error
    raise error


def _keep(app: Celery, error: Exception, message: Unsent) -> None:
    """Until the store has it, or a broker: it is in this process alone."""
    letter = letter_of(app.taskfleet.settings, message, _queue(app, message), str(error))
    while True:
        with contextlib.suppress(SoftTimeLimitExceeded):  # once; the hard limit keeps a letter of the cause
            if _is_kept(app, letter):
                return
            if isinstance(error, NOT_YET) and _is_published(app, message):
                _withdraw(app, letter)
                return
            time.sleep(AGAIN_SECONDS)


def _queue(app: Celery, message: Unsent) -> str:
    """The logical queue; for one that the release does not have, the worker's own."""
    known = app.taskfleet.settings
    try:
        address = versioned(message.queue, bound_release=known.bound_release, releases=app.taskfleet.releases)
    except TaskfleetError:
        return str(known.queues[0])
    parts = names.split_versioned_queue(address.queue)
    return parts[0] if parts else message.queue


def _is_kept(app: Celery, letter: DeadLetter) -> bool:
    try:
        _store(app).put(letter)
    except (BotoCoreError, ClientError) as error:
        logger.error("%s is neither sent nor kept, trying on: %s; %s", letter.task, letter.reason, error)
        return False
    logger.error("%s is kept as dead letter %s: %s", letter.task, letter.id, letter.reason)
    _say_failed(app, letter)
    return True


def _is_published(app: Celery, message: Unsent) -> bool:
    try:
        app.taskfleet.publisher.publish(message.body, message.queue, message.options)
    except NOT_YET:
        return False
    return True


def _withdraw(app: Celery, letter: DeadLetter) -> None:
    """A store that did not answer may have kept it, and sent again from there it would run twice."""
    try:
        _store(app).withdraw(letter.id)
    except (BotoCoreError, ClientError) as error:
        logger.error(
            "%s (%s) is published; a dead letter %s may say that it is not, delete it: %s",
            letter.task,
            letter.task_id,
            letter.id,
            error,
        )


def _store(app: Celery) -> DeadLetters:
    return DeadLetters(aws.client("dynamodb", aws.PROMPT), app.taskfleet.settings.environment)


def _say_failed(app: Celery, letter: DeadLetter) -> None:
    """Who waits for its result is told."""
    try:
        app.backend.store_result(letter.task_id, PublishError(letter.reason), states.FAILURE)
    except Exception as error:  # noqa: BLE001 - every backend has its own, and the letter is kept
        logger.error("the failure of %s can't be stored: %s", letter.task_id, error)
