"""When to look after the channels: at every turn of the loop, and when an answer is overdue."""

from __future__ import annotations

import logging
from time import monotonic
from typing import Any

from kombu.transport.redis import MultiChannelPoller, _socket_readable

logger = logging.getLogger(__name__)

# Without an event loop nothing wakes the wait when a task ends and there is room again.
WAIT_FOR_ROOM_SECONDS = 0.05


class Poller(MultiChannelPoller):
    """kombu's poller for fetches that are answered at once or by a bell."""

    def on_poll_start(self) -> None:
        self.maybe_check_brpop_health()
        for channel in self._channels:
            channel.raise_if_lapsed()
        super().on_poll_start()
        for channel in self._channels:
            channel.tell()

    def get(self, callback: Any, timeout: float | None = None) -> Any:
        if any(channel.active_queues and not channel.qos.can_consume() for channel in self._channels):
            timeout = WAIT_FOR_ROOM_SECONDS if timeout is None else min(timeout, WAIT_FOR_ROOM_SECONDS)
        return super().get(callback, timeout=timeout)

    def maybe_check_brpop_health(self) -> None:
        """Drop a connection whose answer is overdue: its peer may have vanished without a word."""
        now = monotonic()
        for channel in list(self._channels):
            due = channel.answer_due_at
            connection = channel._in_poll
            if due is None or now < due or not connection:
                continue
            sock = getattr(connection, "_sock", None)
            if sock is None or _socket_readable(sock):
                continue
            logger.warning("Redis did not answer in time; dropping the connection")
            connection.disconnect()
