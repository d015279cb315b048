"""A channel whose messages belong to a session, not to its connection."""

from __future__ import annotations

import logging
from collections.abc import Callable

import redis
from kombu.transport import redis as stock
from kombu.transport import virtual
from redis.exceptions import ConnectionError as RedisConnectionError

from taskfleet.brokers.redis.commands import Commands, Keys, Lease
from taskfleet.brokers.redis.orphaned_sessions import SESSIONS
from taskfleet.brokers.redis.qos import QoS
from taskfleet.brokers.redis.renewal import Renewal
from taskfleet.brokers.redis.running import running_tags
from taskfleet.brokers.redis.session import Session
from taskfleet.contract import messages

logger = logging.getLogger(__name__)

# The longest that a beat or an orderly end waits for Redis.
SESSION_TIMEOUT_SECONDS = 2.0
# Nobody holds a message back for longer.
HELD_BACK_SECONDS = 24 * 3600


class LeaseLapsed(RedisConnectionError):
    """Redis gave this worker's messages to others: it was silent for too long. Reconnecting begins anew."""


class OwningChannel(stock.Channel):
    """Opens a session when it first fetches, and leaves it, or lets it live on, when it is closed."""

    QoS = QoS

    lease_seconds = Lease.seconds
    renewing_process = False
    session: Session | None = None
    answer_due_at: float | None = None
    _commands: Commands | None = None
    _in_doubt = False

    @property
    def commands(self) -> Commands:
        """The scripts, over the pool that kombu publishes with."""
        if self._commands is None or self._commands.client.connection_pool is not self.pool:
            self._commands = Commands(redis.Redis(connection_pool=self.pool), self._keys, self._lease)
        return self._commands

    @property
    def _keys(self) -> Keys:
        prefix = self.global_keyprefix
        return Keys(unacked=prefix + self.unacked_key, index=prefix + self.unacked_index_key, prefix=prefix)

    @property
    def _lease(self) -> Lease:
        return Lease(float(self.lease_seconds))

    def _own_commands(self) -> Callable[[], Commands]:
        """Makes clients that neither share this channel's connections nor end with them."""
        params, keys, lease = self._connparams(), self._keys, self._lease
        for name in ("socket_timeout", "socket_connect_timeout"):
            params[name] = min(params.get(name) or SESSION_TIMEOUT_SECONDS, SESSION_TIMEOUT_SECONDS)
        return lambda: Commands(redis.Redis(connection_pool=redis.ConnectionPool(**params)), keys, lease)

    def _own_renewal(self) -> Renewal | None:
        return Renewal(self._connparams(), self._keys, self._lease) if self.renewing_process else None

    @property
    def _broker(self) -> tuple[object, ...]:
        info = self.connection.client
        return (info.hostname, info.port, info.virtual_host, self._keys)

    def _open_session(self) -> Session:
        self.raise_if_lapsed()
        if self.session is None:
            # It is this channel's before it is open: should that fail, `close` passes it on.
            self.session = SESSIONS.take(self._broker, self._own_commands(), self._own_renewal())
            self._in_doubt = True
        if self._in_doubt:
            # It is new here, or an answer was lost (with messages perhaps): what we don't know goes back.
            self.session.open(self.commands)
            self._in_doubt = False
        return self.session

    def raise_if_lapsed(self) -> None:
        """Begin anew if others have our messages: what waits here for its time must not run here too."""
        if self.session is not None and self.session.lapsed:
            raise LeaseLapsed(
                "Redis heard nothing from this worker for too long and gave its messages to others"
            )

    def tell(self) -> None:
        """Acknowledge and give back what no fetch took along."""
        if self.session is not None and not self.closed:
            self.session.tell(self.commands)

    def requeue(self, tag: str, *, counts: bool = True) -> None:
        """Give a message back to its queue: behind the others if that ``counts`` as a delivery.

        Redis is told by `tell`, or, if this channel is closed by then, by whoever has its session.
        """
        if self.session is not None:
            self.session.give_back(tag, counts=counts)

    def put_back(self, tag: str) -> None:
        """Give a message back as if it had not been delivered."""
        virtual.QoS.ack(self.qos, tag)
        self.requeue(tag, counts=False)

    def hold_back(self, tag: str) -> None:
        """This delivery is not begun: until `begin` it does not count if the worker ends."""
        self._note_held_back("sadd", tag)

    def begin(self, tag: str) -> bool:
        """From now on it does. Whether Redis knows that."""
        self.tell()
        return self._note_held_back("srem", tag)

    def _note_held_back(self, change: str, tag: str) -> bool:
        if self.session is None:
            return False
        key = self.global_keyprefix + messages.REDIS_HELD_BACK + self.session.id
        try:
            pipe = self.commands.client.pipeline(transaction=False)
            getattr(pipe, change)(key, tag)
            pipe.expire(key, HELD_BACK_SECONDS)
            pipe.execute()
        except self.connection_errors as error:
            logger.warning("Cannot record in Redis whether a delivery has begun: %s", error)
            return False
        return True

    def _after_fork(self) -> None:
        # The session is the parent's; so is its thread.
        self.session, self._commands = None, None
        super()._after_fork()

    def close(self) -> None:
        if self.closed:
            return
        session = self.session
        if session is None:
            super().close()
            return
        make, broker = self._own_commands(), self._broker
        running: set[str] = set()
        if self._qos is not None:
            self._qos._delivered.clear()  # the session knows better
        # An answer that is still to come holds nothing that would not go back: don't wait for it.
        self._in_poll, self.answer_due_at = None, None
        try:
            running = running_tags()
            super().close()
        finally:
            # Whatever went wrong: a session that nobody leaves would hold its messages as long as we live.
            if not session.abandon(running, make):
                SESSIONS.leave(broker, session)
