"""ElastiCache: a replication group's endpoint is the TLS front of the broker on this machine."""

from __future__ import annotations

from ministack.services import elasticache


def register(*, port: int) -> None:
    """Every node answers at ``localhost:port``; nothing is started by the emulator itself."""

    def endpoint(**asked: object) -> tuple[str, int, None]:
        return "localhost", port, None

    elasticache._spawn_redis_container = endpoint
