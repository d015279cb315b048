"""The process's own paths, in front of MiniStack's application."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from ministack import app

from local.emulator import persistence
from local.emulator.faults import Faults
from local.emulator.recorder import Recorder
from local.emulator.shims import autoscaling, broker, deployments, queues

REGION = "us-east-1"

_log = logging.getLogger("taskfleet.account")

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Server:
    """The ASGI application: `/_local/…` here, everything else by MiniStack."""

    def __init__(self, *, saver: persistence.Saver | None, recorder: Recorder | None = None) -> None:
        self._saver, self._recorder = saver, recorder
        self._ready = False
        self._faults = Faults()
        self.interrupted: list[str] = []  # stacks in whose operation the account was lost
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif scope["type"] == "http" and scope["path"].startswith("/_local/"):
            await self._answer(scope, receive, send)
        elif scope["type"] != "http" or not await self._faults.met(scope, receive, send):
            if self._recorder is not None and scope["type"] == "http":
                receive = await self._recorder.see(scope, receive)
            await app.app(scope, receive, send)

    async def _lifespan(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        async def watched(message: dict[str, Any]) -> None:
            if message["type"] == "lifespan.startup.complete" and not self._begin():
                what = f"lost in the middle of an operation on {', '.join(self.interrupted)}"
                message = {"type": "lifespan.startup.failed", "message": what}
            await send(message)

        try:
            await app.app(scope, receive, watched)
        finally:
            for task in self._tasks:
                task.cancel()

    def _begin(self) -> bool:
        """What needs the account that was restored. False if that is half of two states."""
        self.interrupted = persistence.stacks_in_progress()
        if self.interrupted:
            return False
        self._tasks.append(asyncio.create_task(_forget_silent_agents()))
        if self._saver is not None:
            self._tasks.append(asyncio.create_task(self._saver.run()))
        self._ready = True
        return True

    async def _answer(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        body = await _body(receive)
        try:
            status, content = await self._route(scope["method"], scope["path"], body)
        except (ValueError, KeyError, TypeError) as error:
            status, content = 400, {"error": f"{type(error).__name__}: {error}"}
        payload = json.dumps(content).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(payload)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": payload})

    async def _route(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if (method, path) == ("GET", "/_local/health"):
            unsaved = self._saver.unsaved() if self._saver is not None else []
            return (200 if self._ready else 503), {"ready": self._ready, "unsaved": unsaved}
        if (method, path) == ("PUT", "/_local/ecs/tasks"):
            answer = deployments.report(json.loads(body)["tasks"], region=REGION)
            if self._saver is not None:
                self._saver.mark("ecs")
            return 200, answer
        if (method, path) == ("GET", "/_local/sqs/sent"):
            return 200, dict(queues.SENT)
        if path == "/_local/faults":
            if method == "PUT":
                self._faults.put(**json.loads(body))
            return 200, self._faults.throttled()
        if (method, path) == ("POST", "/_local/scaling/activities"):
            with app_scope():
                autoscaling.record_activity(json.loads(body))
            return 200, {}
        if path == "/_local/broker/tokens":
            return 200, self._tokens(method, json.loads(body))
        if (method, path) == ("POST", "/_local/save") and self._saver is not None:
            await self._saver.save(everything=True)
            return 200, {}
        return 404, {"error": f"{method} {path}: see local/emulator/__init__.py"}

    def _tokens(self, method: str, asked: dict[str, Any]) -> dict[str, Any]:
        with app_scope():
            if method == "PUT":
                broker.took(asked["group"], asked["tokens"])
                if self._saver is not None:
                    self._saver.mark("elasticache")
            return broker.tokens(asked["group"])


def app_scope() -> contextlib.AbstractContextManager[None]:
    """The account and region of this machine, for what comes without an AWS signature."""
    from ministack.core.responses import request_scope

    scope: contextlib.AbstractContextManager[None] = request_scope(deployments.ACCOUNT, REGION)
    return scope


async def _forget_silent_agents() -> None:
    while True:
        await asyncio.sleep(1)
        deployments.forget_if_silent(region=REGION)


async def _body(receive: Receive) -> bytes:
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)
