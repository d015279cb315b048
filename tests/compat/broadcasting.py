"""An application whose workers each have a queue to which all is broadcast; see `tests.compat.routing`."""

from __future__ import annotations

from kombu.common import Broadcast

from tests.compat.app import app

app.conf.task_queues = (Broadcast("to_all"),)
