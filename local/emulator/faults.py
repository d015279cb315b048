"""One service of the account fails on purpose, while the others answer."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

PASS, ERROR, DENY, THROTTLE, HANG, LIMIT = "pass", "error", "deny", "throttle", "hang", "limit"
FAULTS = (PASS, ERROR, DENY, THROTTLE, HANG, LIMIT)
_ANSWERS = {
    ERROR: (503, "ServiceUnavailable"),
    DENY: (403, "AccessDenied"),
    THROTTLE: (400, "ThrottlingException"),
}
# The service in an AWS signature: Credential=<key>/<date>/<region>/<service>/aws4_request
_SCOPE = re.compile(rb"Credential=[^/]+/[^/]+/[^/]+/([a-z0-9-]+)/aws4_request")


@dataclass
class _Limit:
    """So many requests in each second; ``throttled`` counts those that came after."""

    per_second: int
    second: int = 0
    asked: int = 0
    throttled: int = field(default=0, init=False)

    def exceeded(self) -> bool:
        now = int(time.monotonic())
        self.asked = self.asked + 1 if now == self.second else 1
        self.second = now
        self.throttled += self.asked > self.per_second
        return self.asked > self.per_second


class Faults:
    """Which services fail, and how: `HANG` is mute, and acts once healed; `LIMIT` throttles the rest."""

    def __init__(self) -> None:
        self._by_service: dict[str, str] = {}
        self._limits: dict[str, _Limit] = {}

    def put(self, service: str, fault: str, per_second: int = 0) -> None:
        """Raises ``ValueError`` for an unknown fault."""
        if fault not in FAULTS:
            raise ValueError(f"fault {fault!r} is not known: one of {', '.join(FAULTS)}")
        self._limits[service] = _Limit(per_second)
        self._by_service[service] = fault

    def throttled(self) -> dict[str, int]:
        """How many requests of each service went over its limit."""
        return {service: limit.throttled for service, limit in self._limits.items()}

    async def met(self, scope: dict[str, Any], receive: Any, send: Any) -> bool:
        """Whether the request got a fault for its answer."""
        if not any(fault != PASS for fault in self._by_service.values()):
            return False
        service = _service(scope)
        while self._by_service.get(service) == HANG:
            await asyncio.sleep(0.1)
        fault = self._by_service.get(service, PASS)
        if fault == LIMIT and self._limits[service].exceeded():
            fault = THROTTLE
        if fault not in _ANSWERS:
            return False
        # Where a request was not read to its end, its connection may be closed before the answer is read.
        while (await receive()).get("more_body"):
            pass
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
