"""``$ECS_AGENT_URI``: where a container asks for protection from scale-in, as the ECS agent serves it.

Only ``/task-protection/v1/state``, GET and PUT, on a loopback port. Times and shapes as in the
documentation of the ECS task scale-in protection endpoint: 1 to 2880 minutes, 120 unless said. ECS is asked
with the task's role, as AWS's agent does (amazon-ecs-agent, pull requests 3397 and 3411).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

PATH = "/task-protection/v1/state"
DEFAULT_MINUTES = 120
MAX_MINUTES = 2880

# (task's id, whether it shall be protected, for how many minutes): asks ECS. Raises botocore's errors.
Ask = Callable[[str, bool, int], None]


class Protections:
    """Until when each task is protected, in seconds since the epoch. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked_by_task: dict[str, float] = {}
        self._asked_by_api: dict[str, float] = {}

    def until(self, task_id: str) -> float | None:
        """The end of the task's protection, or None if it has none now."""
        with self._lock:
            end = max(self._asked_by_task.get(task_id, 0.0), self._asked_by_api.get(task_id, 0.0))
        return end if end > time.time() else None

    def protect(self, task_id: str, until: float) -> None:
        """The task asked; a time that has passed ends its protection."""
        with self._lock:
            self._asked_by_task[task_id] = until
            self._asked_by_api.pop(task_id, None)

    def api_says(self, protected: Mapping[str, float]) -> None:
        """What ``ecs:UpdateTaskProtection`` set, all of it."""
        with self._lock:
            self._asked_by_api = dict(protected)

    def forget(self, task_id: str) -> None:
        """The task has stopped."""
        with self._lock:
            self._asked_by_task.pop(task_id, None)


class Endpoint:
    """The server. ``uri(task_id)`` is the task's ``ECS_AGENT_URI``."""

    def __init__(self, protections: Protections, ask: Ask) -> None:
        handler = type("Handler", (_Handler,), {"protections": protections, "ask": staticmethod(ask)})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True, name="ecs-agent-uri").start()

    def uri(self, task_id: str) -> str:
        """Where this task asks."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{task_id}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protections: Protections
    ask: Ask

    def do_GET(self) -> None:
        """The state as it is."""
        if (task_id := self._task_id()) is not None:
            self._answer(200, {"protection": self._state(task_id)})

    def do_PUT(self) -> None:
        """``{"ProtectionEnabled": true, "ExpiresInMinutes": 60}``."""
        if (task_id := self._task_id()) is None:
            return
        try:
            asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            enabled, minutes = asked["ProtectionEnabled"], int(asked.get("ExpiresInMinutes", DEFAULT_MINUTES))
            if not isinstance(enabled, bool) or not 1 <= minutes <= MAX_MINUTES:
                raise ValueError(f"ExpiresInMinutes is {minutes!r}, allowed is 1 to {MAX_MINUTES}")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._answer(400, {"error": {"Code": "InvalidParameterException", "Message": str(error)}})
            return
        try:
            self.ask(task_id, enabled, minutes)
        except (BotoCoreError, ClientError) as error:
            self._answer(500, {"error": {"Code": "ServerException", "Message": str(error)}})
            return
        self.protections.protect(task_id, time.time() + 60 * minutes if enabled else 0.0)
        self._answer(200, {"protection": self._state(task_id)})

    def _task_id(self) -> str | None:
        task_id = self.path.removesuffix(PATH).strip("/")
        if self.path.endswith(PATH) and task_id:
            return task_id
        self._answer(
            404, {"error": {"Code": "ResourceNotFoundException", "Message": f"only {PATH} is served"}}
        )
        return None

    def _state(self, task_id: str) -> dict[str, Any]:
        until = self.protections.until(task_id)
        state: dict[str, Any] = {"ProtectionEnabled": until is not None, "TaskArn": task_id}
        if until is not None:
            state["ExpirationDate"] = datetime.fromtimestamp(until, UTC).isoformat()
        return state

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: one line for every request is of no use in the agent's log."""
