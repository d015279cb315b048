"""One service of the account fails on purpose, while the others answer."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

PASS, ERROR, DENY, THROTTLE, HANG = "pass", "error", "deny", "throttle", "hang"
FAULTS = (PASS, ERROR, DENY, THROTTLE, HANG)
_ANSWERS = {
    ERROR: (503, "ServiceUnavailable"),
    DENY: (403, "AccessDenied"),
    THROTTLE: (400, "ThrottlingException"),
}
# The service in an AWS signature: Credential=<key>/<date>/<region>/<service>/aws4_request
_SCOPE = re.compile(rb"Credential=[^/]+/[^/]+/[^/]+/([a-z0-9-]+)/aws4_request")


class Faults:
    """Which services fail, and how: `HANG` is mute, and acts once healed."""

    def __init__(self) -> None:
        self._by_service: dict[str, str] = {}

    def put(self, service: str, fault: str) -> None:
        """Raises ``ValueError`` for an unknown fault."""
        if fault not in FAULTS:
            raise ValueError(f"fault {fault!r} is not known: one of {', '.join(FAULTS)}")
        self._by_service[service] = fault

    async def met(self, scope: dict[str, Any], send: Any) -> bool:
        """Whether the request got a fault for its answer."""
        if not any(fault != PASS for fault in self._by_service.values()):
            return False
        service = _service(scope)
        while self._by_service.get(service) == HANG:
            await asyncio.sleep(0.1)
        fault = self._by_service.get(service, PASS)
        if fault not in _ANSWERS:
            return False
        status, code = _ANSWERS[fault]
        body = json.dumps({"__type": code, "message": "a fault on purpose: make drill"}).encode()
        headers = [(b"content-type", b"application/x-amz-json-1.0"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return True


def _service(scope: dict[str, Any]) -> str:
    headers = dict(scope["headers"])
    found = _SCOPE.search(headers.get(b"authorization", b""))
    return found[1].decode() if found else ""
