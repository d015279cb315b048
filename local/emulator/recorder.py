"""Writes down who asked AWS for what: each question to IAM once, one JSON line each.

The agent gives every container its role's name as its access key (`local.agent.environment`), which each
request carries in its signature. Who has another key is not recorded: this machine's own processes, the CDK.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from local.account import CALLERS
from local.emulator.calls import Asked, Place, asked

Receive = Callable[[], Awaitable[dict[str, Any]]]

_SCOPE = re.compile(rb"Credential=([^/]+)/[^/]+/([^/]+)/([a-z0-9-]+)/aws4_request")
_ACCOUNT = "000000000000"

_log = logging.getLogger("taskfleet.account")


class Recorder:
    """Appends to ``file``."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known = set(file.read_text().splitlines()) if file.exists() else set()

    async def see(self, scope: dict[str, Any], receive: Receive) -> Receive:
        """Look at a request; what is returned gives its body to the next."""
        headers = dict(scope["headers"])
        signed = _SCOPE.search(headers.get(b"authorization", b""))
        if signed is None or not (caller := signed[1].decode()).startswith(CALLERS):
            return receive
        messages = await _messages(receive)
        body = b"".join(message.get("body", b"") for message in messages)
        place = Place(signed[2].decode(), _ACCOUNT)
        try:
            operation, params = _read(headers, body)
            for each in asked(signed[3].decode(), operation, params, place):
                self._note(caller, each)
        except (ValueError, KeyError, TypeError) as error:
            _log.warning("a call of %s was not recorded: %r", caller, error)
        return _replay(messages, receive)

    def _note(self, caller: str, question: Asked) -> None:
        said = {"caller": caller, "action": question.action, "resource": question.resource}
        line = json.dumps(said | ({"context": question.context} if question.context else {}), sort_keys=True)
        if line not in self._known:
            self._known.add(line)
            with self._file.open("a") as file:
                file.write(f"{line}\n")


def _read(headers: dict[bytes, bytes], body: bytes) -> tuple[str, Any]:
    """The operation and its parameters, in both protocols that botocore speaks with these services."""
    if target := headers.get(b"x-amz-target"):
        return target.decode().rpartition(".")[2], json.loads(body or b"{}")
    params = dict(parse_qsl(body.decode()))
    return params.pop("Action"), params


async def _messages(receive: Receive) -> list[dict[str, Any]]:
    messages = []
    while True:
        message = await receive()
        messages.append(message)
        if message["type"] != "http.request" or not message.get("more_body"):
            return messages


def _replay(messages: list[dict[str, Any]], receive: Receive) -> Receive:
    async def again() -> dict[str, Any]:
        return messages.pop(0) if messages else await receive()

    return again
