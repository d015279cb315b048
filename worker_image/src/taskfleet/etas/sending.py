"""Far ETAs that are due, to a broker: each to the release that it is bound to, or among the dead letters."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from celery import Celery

from taskfleet import aws
from taskfleet.contract import names, state
from taskfleet.contract.messages import REVOKED_HEADER
from taskfleet.dead_letters import writing
from taskfleet.dead_letters.dead_letter import DeadLetter, DeadLetterKind, Message, id_of
from taskfleet.dead_letters.store import DeadLetters
from taskfleet.errors import (
    CountdownTooLong,
    InvalidTask,
    PointerUnknown,
    PublishError,
    QueueClosed,
    TaskfleetError,
)
from taskfleet.etas.eta import Binding, Eta, Item, from_item, stamp_matches
from taskfleet.etas.store import Etas, key_of
from taskfleet.logs import logger
from taskfleet.publishing.outgoing import Outgoing
from taskfleet.publishing.pointer import NotDeployed
from taskfleet.releases.model import State

# Later, by the same way: a broker is away, the pointer can't be read, or its pool takes no ETA so far ahead.
_LATER = (PublishError, PointerUnknown, CountdownTooLong)
_NAME = "eta:"
_TAKE_NOTHING = (State.RETIRED, State.FAILED)


class Sending:
    """Of the application that beat runs. Errors of AWS pass through."""

    def __init__(self, app: Celery, etas: Etas) -> None:
        self._app, self._etas = app, etas
        self._environment = app.taskfleet.settings.environment

    def send(self, items: Sequence[Item]) -> tuple[int, str | None]:
        """Send them and delete those that a broker has; how many that were, and why others were not sent."""
        etas = {str(key_of(item)): self._read(item) for item in items}
        waiting = [eta for eta in etas.values() if eta is not None]
        self._mark_revoked(waiting)
        problem = self._publish(waiting)
        self._etas.delete([item for item in items if str(key_of(item)) not in problem])
        return len(items) - len(problem), next(iter(problem.values()), None)

    def _read(self, item: Item) -> Eta | None:
        """None of what is no message: a dead letter."""
        try:
            return from_item(item)
        except (KeyError, ValueError, TypeError) as error:
            self._keep(_no_message(item, f"an item of the table of ETAs can't be read: {error!r}"))
            return None

    def _mark_revoked(self, etas: Sequence[Eta]) -> None:
        """A worker then does what it does with every task that is revoked."""
        revoked = self._etas.revoked(eta.id for eta in etas)
        stamped = [eta for eta in etas if eta.headers.get("stamps")]
        asked = self._etas.stamps() if stamped else []
        revoked |= {eta.id for eta in stamped for one in asked if stamp_matches(one, eta.headers)}
        for eta in etas:
            if eta.id in revoked:
                eta.headers[REVOKED_HEADER] = True

    def _retired(self, releases: Iterable[str]) -> dict[str, QueueClosed]:
        """Those that take no task any more. The brokers say so, too, but a Redis that was made anew."""
        found = {}
        for release in releases:
            record = self._record(release)
            if record and (record["state"]["S"] in _TAKE_NOTHING or "closed_at" in record):
                found[release] = QueueClosed(f"release {release} is retired")
        return found

    def _record(self, release: str) -> Item:
        key = {state.KEY: {"S": state.release(release)}}
        table = names.state_table(self._environment)
        reply = aws.client("dynamodb", aws.PATIENT).get_item(TableName=table, Key=key, ConsistentRead=True)
        record: Item = reply.get("Item", {})
        return record

    def _publish(self, etas: Sequence[Eta]) -> dict[str, str]:
        """By the key of each that is to be sent later, why."""
        later: dict[str, str] = {}
        messages: list[tuple[Eta, Outgoing]] = []
        retired = self._retired({eta.release for eta in etas if eta.release is not None})
        for eta in etas:
            made = retired.get(eta.release or "") or self._message(eta, _queue(eta))
            if isinstance(made, NotDeployed | QueueClosed) and eta.binding is Binding.RELEASE:
                made = self._message(eta, eta.queue)
            self._sort(eta, made, messages, later)
        self._app.taskfleet.publisher.send([message for _, message in messages])
        elsewhere: list[tuple[Eta, Outgoing]] = []
        for eta, message in messages:
            closed = isinstance(message.error, QueueClosed)
            if closed and eta.binding is Binding.RELEASE and message.asked != eta.queue:
                self._sort(eta, self._message(eta, eta.queue), elsewhere, later)
            elif message.error is not None:
                self._sort(eta, message.error, [], later)
        self._app.taskfleet.publisher.send([message for _, message in elsewhere])
        for eta, message in elsewhere:
            if message.error is not None:
                self._sort(eta, message.error, [], later)
        return later

    def _message(self, eta: Eta, queue: str) -> Outgoing | TaskfleetError:
        options = {
            **eta.options,
            "headers": dict(eta.headers),
            "content_type": "application/json",
            "content_encoding": "utf-8",
        }
        try:
            made: Outgoing = self._app.taskfleet.publisher.message(eta.body, queue, options)
        except TaskfleetError as error:
            return error
        except Exception as error:  # noqa: BLE001 - one message must not keep the others
            return InvalidTask(f"it can't be made a message: {error!r}")
        made.comes_from_table_as = f"{_NAME}{eta.position}"
        return made

    def _sort(
        self,
        eta: Eta,
        made: Outgoing | TaskfleetError,
        messages: list[tuple[Eta, Outgoing]],
        later: dict[str, str],
    ) -> None:
        """It is sent, sent later, or can never be sent."""
        if isinstance(made, Outgoing):
            messages.append((eta, made))
        elif isinstance(made, _LATER) and not isinstance(made, NotDeployed):
            later[str(eta.key)] = str(made)
        else:
            self._keep(_letter(eta, str(made)))

    def _keep(self, letter: DeadLetter) -> None:
        DeadLetters(aws.client("dynamodb", aws.PATIENT), self._environment).put(letter)
        logger.error("%s (%s) became a dead letter: %s", letter.task, letter.task_id, letter.reason)


def _queue(eta: Eta) -> str:
    """The logical one goes to the release that is current now."""
    return eta.queue if eta.release is None else names.versioned_queue(eta.queue, eta.release)


def _letter(eta: Eta, reason: str) -> DeadLetter:
    said: Any = eta.headers
    return DeadLetter(
        id=id_of(eta.position),
        queue=eta.queue,
        task=eta.task,
        task_id=eta.id,
        release=eta.release,
        pool=None,
        kind=DeadLetterKind.UNPUBLISHED,
        reason=f"its ETA has come, and it could not be sent: {reason}",
        at=time.time(),
        args=f"{said.get('argsrepr')} {said.get('kwargsrepr')}",
        message=Message(
            headers=eta.headers,
            properties=eta.options,
            content_type="application/json",
            content_encoding="utf-8",
            body=eta.body.encode(),
        ),
    )


def _no_message(item: Item, reason: str) -> DeadLetter:
    text = str(item)
    return DeadLetter(
        id=id_of(text),
        queue=item.get("queue", {}).get("S", "-"),
        task=None,
        task_id=None,
        release=None,
        pool=None,
        kind=DeadLetterKind.NOT_A_MESSAGE,
        reason=reason,
        at=time.time(),
        message=writing.nothing_known(text.encode()),
    )
