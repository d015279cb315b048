"""One connection to Redis on which many commands go out at once, and what its silence means.

A process that was starved (of the processor, by another thread, by a busy event loop) must not take Redis for
dead: time counts only while the socket was looked into, and it is looked into once more before giving up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from taskfleet import deadline
from taskfleet.brokers.redis.commands import Command

LOOK_SECONDS = 0.1
LOOKS = 3  # each of them without an answer: that long a broker may take over one
# Of the clock on the wall, for a process so busy that each look takes much longer than it should.
MOST_ANSWER_SECONDS = 0.5
# Connecting, the TLS handshake and logging in; each of these steps has a limit of its own as well.
CONNECT_SECONDS = 0.6
# After a round trip without an answer: to a server that is well, it takes some milliseconds.
AFTER_SILENCE_SECONDS = 0.4
# The first time the password is read, too, by a process that is just starting.
FIRST_CONNECT_SECONDS = 1.5
_TIME_OUTS = (RedisTimeoutError, TimeoutError)


class Pipeline:
    """For one user at a time. ``make`` gives a connection that is not open yet."""

    def __init__(self, make: Callable[[], redis.Connection]) -> None:
        self._make = make
        self._connection: redis.Connection | None = None
        self._connect_seconds = FIRST_CONNECT_SECONDS
        self._silent = False  # it was, in the last round trip

    def run(self, commands: Sequence[Command], answers: list[Any]) -> None:
        """Send them together, and append each answer, an error reply as the exception that it makes.

        Raises redis-py's errors and ``OSError``; those whose answers are missing may have been done then,
        unless the text says that it failed "connecting to" the server.
        """
        connection = self._opened()
        try:
            connection.send_packed_command([b"".join(map(_packed, commands))], check_health=False)
            for _ in commands:
                answers.append(_answer(connection))
        except BaseException as error:  # a time limit of the task that publishes, for instance
            self._silent = isinstance(error, RedisTimeoutError)
            self.close()  # or the next ones would read these answers
            raise

    def close(self) -> None:
        """Close the connection; the next `run` opens one to wherever the name leads then."""
        if self._connection is not None:
            self._connection.disconnect()

    def _opened(self) -> redis.Connection:
        if self._connection is None:
            self._connection = self._make()
        if self._connection.is_connected and _is_stale(self._connection):
            self._connection.disconnect()
        if not self._connection.is_connected:
            self._connect(self._connection)
        return self._connection

    def _connect(self, connection: redis.Connection) -> None:
        seconds = AFTER_SILENCE_SECONDS if self._silent else self._connect_seconds
        self._silent = False
        try:
            with deadline.within(seconds):
                connection.connect()
        except (RedisError, OSError) as error:
            connection.disconnect()
            if "connecting to" in str(error):
                raise
            kind = RedisTimeoutError if isinstance(error, _TIME_OUTS) else RedisConnectionError
            raise kind(f"Error connecting to the server: {error}") from error
        except BaseException:
            connection.disconnect()
            raise
        self._connect_seconds = CONNECT_SECONDS


def _packed(command: Command) -> bytes:
    """As redis-py does it, in half its time."""
    parts = [b"*%d\r\n" % len(command)]
    for part in command:
        text = part if isinstance(part, bytes) else str(part).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(text), text))
    return b"".join(parts)


def _is_stale(connection: redis.Connection) -> bool:
    """Whether the server closed it, or said something that nobody asked for."""
    try:
        return connection.can_read(0)
    except (RedisError, OSError):
        return True


def _answer(connection: redis.Connection) -> Any:
    _wait(connection)
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


def _wait(connection: redis.Connection) -> None:
    began, looks = time.monotonic(), 0
    while not connection.can_read(LOOK_SECONDS):
        looks += 1
        waited = time.monotonic() - began
        if looks >= LOOKS or waited >= MOST_ANSWER_SECONDS:
            if connection.can_read(0):
                return
            raise RedisTimeoutError(f"Timeout: no answer in {waited:.2f} s")
