"""One limit for everything that a publish does on a connection.

redis-py limits each step: connecting, the TLS handshake, the log-in's answers, the command. A broker that
answers each of them late, as one does that has just come back, keeps a publish for the sum of them.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import redis
from redis.exceptions import TimeoutError as RedisTimeoutError

_end: ContextVar[float | None] = ContextVar("taskfleet_redis_deadline", default=None)

# A socket with a timeout of 0 does not wait at all, and says so in another way.
_SHORTEST_SECONDS = 0.001


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """What connections of this module do in the block ends by then. Raises redis-py's ``TimeoutError``."""
    token = _end.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _end.reset(token)


def _limited(seconds: float | None) -> float | None:
    """This timeout, or what is left if that is less."""
    end = _end.get()
    if end is None:
        return seconds
    left = max(_SHORTEST_SECONDS, end - time.monotonic())
    return left if seconds is None else min(seconds, left)


class _Limited:
    """For a redis-py connection; without `within` it changes nothing."""

    def _connect(self: Any) -> socket.socket:
        usual = self.socket_connect_timeout
        self.socket_connect_timeout = _limited(usual)
        try:
            sock: socket.socket = super()._connect()  # type: ignore[misc]
        finally:
            self.socket_connect_timeout = usual
        sock.settimeout(self.socket_timeout)
        return sock

    def _wrap_socket_with_ssl(self: Any, sock: socket.socket) -> Any:
        sock.settimeout(_limited(self.socket_timeout))
        return super()._wrap_socket_with_ssl(sock)  # type: ignore[misc]

    def send_packed_command(self: Any, command: Any, check_health: bool = True) -> None:
        end = _end.get()
        if end is not None:
            self.connect()
            if time.monotonic() >= end:
                # Nothing was sent: whoever publishes must know that it is certain (`may_have_taken`).
                raise RedisTimeoutError("No time was left after connecting to the server")
        super().send_packed_command(command, check_health=check_health)  # type: ignore[misc]

    def read_response(self: Any, *given: Any, **options: Any) -> Any:
        limit = _limited(self.socket_timeout)
        if limit != self.socket_timeout:
            options.setdefault("timeout", limit)
        return super().read_response(*given, **options)  # type: ignore[misc]


class Connection(_Limited, redis.Connection):
    """A connection without TLS."""


class SSLConnection(_Limited, redis.SSLConnection):
    """A connection with TLS."""
