"""Connections whose every step heeds `taskfleet.deadline`, and that say when the broker refuses a password.

redis-py limits each step: connecting, the TLS handshake, the log-in's answers, the command. A broker that
answers each of them late, as one does that has just come back, keeps a publish for the sum of them.
"""

from __future__ import annotations

import socket
from typing import Any

import redis
from redis.exceptions import AuthenticationError
from redis.exceptions import TimeoutError as RedisTimeoutError

from taskfleet import deadline
from taskfleet.brokers.credentials import SecretCredentials


def _limited(seconds: float | None) -> float | None:
    """This timeout, or what is left if that is less."""
    left = deadline.left()
    if left is None:
        return seconds
    return left if seconds is None else min(seconds, left)


class _Limited:
    """For a redis-py connection; without `deadline.within` it changes nothing."""

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
        if deadline.left() is not None:
            self.connect()
            if deadline.over():
                # Nothing was sent: whoever publishes must know that it is certain (`may_have_taken`).
                raise RedisTimeoutError("No time was left after connecting to the server")
        super().send_packed_command(command, check_health=check_health)  # type: ignore[misc]

    def read_response(self: Any, *given: Any, **options: Any) -> Any:
        limit = _limited(self.socket_timeout)
        if limit != self.socket_timeout:
            options.setdefault("timeout", limit)
        try:
            return super().read_response(*given, **options)  # type: ignore[misc]
        except AuthenticationError:  # WRONGPASS as it logs in; NOAUTH of a server that knows it no longer
            if isinstance(self.credential_provider, SecretCredentials):
                self.credential_provider.refused()
            raise


class Connection(_Limited, redis.Connection):
    """A connection without TLS."""


class SSLConnection(_Limited, redis.SSLConnection):
    """A connection with TLS."""
