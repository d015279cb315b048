"""Fetching: the script where stock kombu has BRPOP, and the bell while there is nothing.

The wait for the bell and the fetch after it are sent together: Redis runs the second as soon as the first is
over, so a message that wakes an idle worker costs one round trip, as with BRPOP.
"""

from __future__ import annotations

from collections.abc import Sequence
from queue import Empty
from time import monotonic
from typing import Any

from kombu.utils.scheduling import priority_cycle, round_robin_cycle, sorted_cycle
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError

from taskfleet.brokers.redis.commands import fetch
from taskfleet.brokers.redis.delivering import DeliveringChannel
from taskfleet.brokers.redis.ownership import LeaseLapsed
from taskfleet.brokers.redis.session import Session
from taskfleet.contract import messages

BELL = "BLPOP"
# One fetch brings no more than this, however much room there is.
MOST_AT_ONCE = 16
# What an answer may take beyond the wait that was asked for, unless `socket_timeout` says otherwise.
ANSWER_SECONDS = 5.0
_KNOWN_CYCLES = (round_robin_cycle, priority_cycle, sorted_cycle)


class FetchingChannel(DeliveringChannel):
    """Asks over kombu's own consuming connection, and reads the answer when the poller says so."""

    _asked: Sequence[str] = ()
    _send_whole = False

    @property
    def asked_at(self) -> float | None:
        """When it last asked for messages, by the monotonic clock; None before the first time."""
        return self._brpop_sent_at

    def _brpop_start(self, timeout: float | None = None) -> None:
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        session = self._open_session()
        self._send([self._fetch_command(session, list(queues), session.take_done())], wait=0)

    def _fetch_command(self, session: Session, queues: list[str], acknowledge: list[str]) -> list[Any]:
        return fetch(
            self._keys,
            session=session.id,
            number=session.next_number(),
            many=self._room(),
            queues=queues,
            priorities=self.priority_steps,
            rotate=type(self._queue_cycle) is round_robin_cycle,
            acknowledge=acknowledge,
            whole=self._send_whole,
        )

    def _room(self) -> int:
        """How many messages may come at once."""
        if "can_consume" in self.qos.__dict__ or type(self._queue_cycle) not in _KNOWN_CYCLES:
            return 1  # somebody else counts (`worker_disable_prefetch`), or orders the queues
        room = self.qos.can_consume_max_estimate()
        return MOST_AT_ONCE if room is None else max(1, min(room, MOST_AT_ONCE))

    def _send(self, commands: list[list[Any]], *, wait: float) -> None:
        connection = self.client.connection
        self._in_poll, self._asked = connection, [command[0] for command in commands]
        self._brpop_sent_at = monotonic()
        self.answer_due_at = self._brpop_sent_at + wait + (self.socket_timeout or ANSWER_SECONDS)
        connection.send_packed_command(connection.pack_commands(commands))

    def _on_connection_disconnect(self, connection: Any) -> None:
        if self._in_poll is connection:
            self._in_doubt = True  # the fetch may have been run
            self.answer_due_at = None
        super()._on_connection_disconnect(connection)

    def _brpop_read(self, **options: Any) -> bool:
        connection = self.client.connection
        try:
            # With TLS a socket can be readable without an answer in it: the main loop must not wait for one.
            if not connection.can_read(timeout=0):
                raise Empty
            # The bell's answer says nothing, and the fetch's follows it at once.
            reply = [self.client.parse_response(connection, asked, **options) for asked in self._asked][-1]
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
        session = self.session
        if session is None:
            raise Empty
        session.told()
        self._send_whole = False
        if len(reply) == 1:
            self._wait_for_bell(session, seconds=int(reply[0]) / 1000)
            raise Empty
        self._deliver_all(session, reply)
        self._flush_brpop_reauth()
        return True

    def _as_connection_error(self, error: ResponseError, connection: Any) -> Exception:
        text = str(error)
        if text.startswith("LAPSED"):
            return LeaseLapsed(text)
        # The bell's error has another answer behind it, which nobody must take for that of a later command.
        self._in_doubt = True
        connection.disconnect()
        return RedisConnectionError(text)

    def _wait_for_bell(self, session: Session, *, seconds: float) -> None:
        self._flush_brpop_reauth()
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        prefix = self.global_keyprefix + messages.REDIS_BELL
        bell = [BELL, *(prefix + queue for queue in queues), seconds]
        # No acknowledgements: they must not wait for the bell, so `tell` sends what there is meanwhile.
        self._send([bell, self._fetch_command(session, list(queues), [])], wait=seconds)
