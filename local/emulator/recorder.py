"""Writes down who asked AWS for what: each question to IAM once, one JSON line each.

The agent gives every container its role's name as its access key (`local.agent.environment`), which each
request carries in its signature; whoever assumed a role has a key that STS made. Who has another key is not
recorded: this machine's own processes, an administrator.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from ministack.services import sts

from local.account import CALLERS, ROLE
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
        if signed is None or not (caller := _who(signed[1].decode())).startswith(CALLERS):
            return receive
        place, service = Place(signed[2].decode(), _ACCOUNT), signed[3].decode()
        if service == "s3":  # which says what it wants in its path, and may bring a file
            self._note_all(caller, service, *_of_s3(scope), place)
            return receive
        messages = await _messages(receive)
        body = b"".join(message.get("body", b"") for message in messages)
        try:
            self._note_all(caller, service, *_read(headers, body), place)
        except (ValueError, KeyError, TypeError) as error:
            _log.warning("a call of %s was not recorded: %r", caller, error)
        return _replay(messages, receive)

    def _note_all(self, caller: str, service: str, operation: str, params: Any, place: Place) -> None:
        for each in asked(service, operation, params, place):
            self._note(caller, each)

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


def _who(key: str) -> str:
    """The key, or of one that STS made `ROLE` and the name of the role that was assumed."""
    session = sts._sessions.get(key)
    return f"{ROLE}{session['Arn'].split('/')[1]}" if session else key


def _of_s3(scope: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """The HTTP method and the first name of the query, by which S3 tells its operations apart."""
    bucket, _, key = unquote(scope["path"]).lstrip("/").partition("/")
    named = scope["query_string"].decode().partition("&")[0].partition("=")[0]
    return f"{scope['method']} {named}".strip(), {"Bucket": bucket, "Key": key}


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
