"""The passwords that the broker's nodes take are those that its replication group has: two after ROTATE.

Each look compares and mends, so that a node that was restarted, or promoted, takes the same ones.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from taskfleet.contract import names

from local.account import ENVIRONMENT, endpoint
from local.ports import Ports

_LOOK_SECONDS = 2.0
_PATH = "/_local/broker/tokens"
_log = logging.getLogger("supervisor")


async def follow(ports: Ports) -> None:
    """For ever."""
    known: list[str] = []
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        try:
            known = await asyncio.to_thread(look, ports, known)
        except (OSError, ValueError, redis.RedisError) as error:
            _log.debug("the broker's passwords were not compared: %s", error)


def look(ports: Ports, known: Sequence[str]) -> list[str]:
    """Once; what the nodes take now. Raises what the account or a node raises."""
    wanted = _ask(ports, "GET")
    tokens: list[str] = wanted["tokens"]
    if not tokens:
        return list(known)
    reached = [_give(port, tokens, known) for port in (ports.valkey, ports.replica)]
    if not wanted["applied"] and any(reached):
        _ask(ports, "PUT", {"tokens": tokens})
        _log.info("the broker takes %d password(s)", len(tokens))
    return tokens


def _give(port: int, tokens: Sequence[str], known: Iterable[str]) -> bool:
    """Whether a node listens there; it takes exactly ``tokens`` then."""
    for token in dict.fromkeys([*reversed(tokens), *known]):
        try:
            with _client(port, token) as client:
                _make_take(client, tokens)
            return True
        except redis.AuthenticationError:
            continue
        except redis.ConnectionError:
            return False
    raise redis.AuthenticationError(f"the node at {port} takes none of the passwords that are known")


def _make_take(client: Any, tokens: Sequence[str]) -> None:
    taken = client.acl_getuser("default")["passwords"]
    if sorted(taken) == sorted(hashlib.sha256(token.encode()).hexdigest() for token in tokens):
        return
    client.execute_command("ACL", "SETUSER", "default", "resetpass", *(f">{token}" for token in tokens))
    client.config_set("masterauth", tokens[-1])


def _client(port: int, token: str) -> redis.Redis:
    return redis.Redis(
        host="127.0.0.1",
        port=port,
        password=token,
        socket_timeout=5,
        decode_responses=True,
        retry=Retry(NoBackoff(), 0),
    )


def _ask(ports: Ports, method: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{endpoint(ports)}{_PATH}",
        json.dumps({"group": names.broker(ENVIRONMENT), **(body or {})}).encode(),
        method=method,
    )
    with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310 - loopback
        answer: dict[str, Any] = json.load(reply)
    return answer
