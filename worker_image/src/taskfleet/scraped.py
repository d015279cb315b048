"""Serving `/metrics` to Prometheus from a thread."""

from __future__ import annotations

import os
from collections.abc import Callable

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.registry import Collector


def bind_address() -> str:
    """All interfaces in a container, where only the security group's friends get through; else loopback."""
    on_ecs = os.environ.get("AWS_EXECUTION_ENV", "").startswith("AWS_ECS")
    return "0.0.0.0" if on_ecs else "127.0.0.1"  # noqa: S104 - on ECS, see above


def serve(*collectors: Collector, port: int, address: str | None = None) -> Callable[[], None]:
    """Serve what is collected at each scrape; returns how to stop. ``OSError`` if the port is taken."""
    registry = CollectorRegistry()
    for each in collectors:
        registry.register(each)
    server, thread = start_http_server(port, addr=address or bind_address(), registry=registry)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop
