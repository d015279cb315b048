"""How often a suspect from SQS has begun: SQS itself counts each time that a message is received.

That may be often, and say nothing of the message: it was fetched along with one that ended its worker, was
given back by a deploy, or looked at before its time. So SQS's count suspects, and this one judges. It is kept
in the tools table, for suspects alone: anything else costs no request.
"""

from __future__ import annotations

import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from kombu.message import Message

from taskfleet import aws
from taskfleet.contract import limits
from taskfleet.contract import tools as keys
from taskfleet.logs import logger
from taskfleet.tools.table import Table

_COUNT = "SET #expires = :until ADD #begun :more"


class Begun:
    """Of one worker. Asked from the main loop: bounded in time, and raises nothing."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def count(self, message: Message) -> int:
        """How often the message had begun before this; this one is counted.

        0 while the table does not answer: not to run the message would keep its worker from all others.
        """
        key = _key(message)
        try:
            before = self._table.get(key).get("begun", 0)
            self._add(key, 1)
        except (BotoCoreError, ClientError) as error:
            logger.warning("it could not be counted that a suspect from SQS begins: %s", error)
            return 0
        return int(before)

    def withdraw(self, message: Message) -> None:
        """It was given back in order, which says nothing of the message."""
        try:
            self._add(_key(message), -1)
        except (BotoCoreError, ClientError) as error:
            logger.warning("a suspect from SQS was given back, but its begin counts: %s", error)

    def _add(self, key: str, more: int) -> None:
        until = int(time.time()) + limits.SQS_MAX_RETENTION_SECONDS
        self._table.update(key, _COUNT, {":until": until, ":more": more})

    @property
    def _table(self) -> Table:
        return Table(aws.client("dynamodb", aws.PROMPT), self._app.taskfleet.settings.environment)


def _key(message: Message) -> str:
    return keys.begun(message.delivery_info["sqs_message"]["MessageId"])
