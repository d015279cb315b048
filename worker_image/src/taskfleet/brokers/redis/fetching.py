"""Fetching: the script where stock kombu has BRPOP, and the bell while there is nothing."""

from __future__ import annotations

from queue import Empty
from time import monotonic
from typing import Any

from kombu.utils.scheduling import priority_cycle, round_robin_cycle, sorted_cycle
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MasterDownError, NoScriptError, ReadOnlyError, ResponseError

from taskfleet.brokers.redis.commands import fetch
from taskfleet.brokers.redis.delivering import DeliveringChannel
from taskfleet.brokers.redis.ownership import LeaseLapsed
from taskfleet.contract import messages

FETCH, BELL = "EVALSHA", "BLPOP"
# One fetch brings no more than this, however much room there is.
MOST_AT_ONCE = 16
# What an answer may take beyond the wait that was asked for, unless `socket_timeout` says otherwise.
ANSWER_SECONDS = 5.0
# Answers of a server that is no primary any more: reconnect, and find the new one.
DEMOTED_ERRORS = (ReadOnlyError, MasterDownError)
_WAIT_ENDED_BY_DEMOTION = "UNBLOCKED"
_KNOWN_CYCLES = (round_robin_cycle, priority_cycle, sorted_cycle)


class FetchingChannel(DeliveringChannel):
    """Asks over kombu's own consuming connection, and reads the answer when the poller says so."""

    _asked = ""
    _send_whole = False

    def _brpop_start(self, timeout: float | None = None) -> None:
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        command = self._fetch_command(list(queues), self._room())
        self._send(FETCH, command, wait=0)

    def _fetch_command(self, queues: list[str], many: int) -> list[Any]:
        session = self._open_session()
        return fetch(
            self._keys,
            session=session.id,
            number=session.next_number(),
            many=many,
            queues=queues,
            priorities=self.priority_steps,
            rotate=type(self._queue_cycle) is round_robin_cycle,
            acknowledge=session.take_done(),
            whole=self._send_whole,
        )

    def _room(self) -> int:
        """How many messages may come at once."""
        if "can_consume" in self.qos.__dict__ or type(self._queue_cycle) not in _KNOWN_CYCLES:
            return 1  # somebody else counts (`worker_disable_prefetch`), or orders the queues
        room = self.qos.can_consume_max_estimate()
        return MOST_AT_ONCE if room is None else max(1, min(room, MOST_AT_ONCE))

    def _send(self, kind: str, command: list[Any], *, wait: float) -> None:
        connection = self.client.connection
        self._in_poll, self._asked = connection, kind
        self._brpop_sent_at = monotonic()
        self.answer_due_at = self._brpop_sent_at + wait + (self.socket_timeout or ANSWER_SECONDS)
        connection.send_command(*command)

    def _on_connection_disconnect(self, connection: Any) -> None:
        if self._in_poll is connection:
            self._in_doubt = self._in_doubt or self._asked == FETCH
            self.answer_due_at = None
        super()._on_connection_disconnect(connection)

    def _brpop_read(self, **options: Any) -> bool:
        connection = self.client.connection
        try:
            reply = self.client.parse_response(connection, self._asked, **options)
        except NoScriptError:
            self._send_whole, self._in_poll = True, None
            raise Empty from None
        except ResponseError as error:
            self._in_poll = None
            raise self._as_connection_error(error, connection) from error
        except self.connection_errors:
            connection.disconnect()
            raise
        self._in_poll, self.answer_due_at = None, None
        if self._asked == BELL:
            raise Empty
        session = self.session
        if session is None:
            raise Empty
        session.told()
        self._send_whole = False
        if not reply:
            self._wait_for_bell()
            raise Empty
        self._deliver_all(session, reply)
        self._flush_brpop_reauth()
        return True

    def _as_connection_error(self, error: ResponseError, connection: Any) -> Exception:
        text = str(error)
        if text.startswith("LAPSED"):
            return LeaseLapsed(text)
        if not isinstance(error, DEMOTED_ERRORS) and not text.startswith(_WAIT_ENDED_BY_DEMOTION):
            return error
        self._in_doubt = True
        connection.disconnect()
        return RedisConnectionError(text)

    def _wait_for_bell(self) -> None:
        self._flush_brpop_reauth()
        timeout = self.brpop_timeout or 1
        prefix = self.global_keyprefix + messages.REDIS_BELL
        self._send(BELL, [BELL, *(prefix + queue for queue in self.active_queues), timeout], wait=timeout)
