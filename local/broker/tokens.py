"""The passwords that the nodes of a cache take are those that its replication group has: two after ROTATE.

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
    """For ever: the broker's, and those of the results' cache."""
    await asyncio.gather(*(_follow(ports, group) for group in nodes(ports)))


def nodes(ports: Ports) -> dict[str, tuple[int, ...]]:
    """The ports of each replication group's servers, by its name."""
    return {
        names.broker(ENVIRONMENT): (ports.valkey, ports.replica),
        names.results_cache(ENVIRONMENT): (ports.results_valkey,),
    }


async def _follow(ports: Ports, group: str) -> None:
    known: list[str] = []
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        try:
            known = await asyncio.to_thread(look, ports, group, known)
        except (OSError, ValueError, redis.RedisError) as error:
            _log.debug("the passwords of %s were not compared: %s", group, error)


def look(ports: Ports, group: str, known: Sequence[str]) -> list[str]:
    """Once; what the group's nodes take now. Raises what the account or a node raises."""
    wanted = _ask(ports, "GET", {"group": group})
    tokens: list[str] = wanted["tokens"]
    if not tokens:
        return list(known)
    reached = [_give(port, tokens, known) for port in nodes(ports)[group]]
    if not wanted["applied"] and any(reached):
        _ask(ports, "PUT", {"group": group, "tokens": tokens})
        _log.info("%s takes %d password(s)", group, len(tokens))
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


def _ask(ports: Ports, method: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{endpoint(ports)}{_PATH}",
        json.dumps(body).encode(),
        method=method,
    )
    with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310 - loopback
        answer: dict[str, Any] = json.load(reply)
    return answer
