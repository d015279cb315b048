"""Where a Prometheus of this machine finds the containers: a port for each, and a file that lists them.

On AWS each task has an address of its own, and all use one port. Here they share the loopback address.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from pathlib import Path

from taskfleet.contract import names

from local.agent.task import Task
from local.ports import bind

_WITHOUT_METRICS = names.beat_service("")


def free_port() -> int:
    """A loopback port for one container's `/metrics`."""
    with socket.socket() as probe:
        return bind(probe)


def targets(tasks: Iterable[Task]) -> list[dict[str, object]]:
    """The running containers of services, but beat, as `file_sd_configs` of Prometheus reads them."""
    found = {
        f"127.0.0.1:{task.metrics_port}": task.service.name
        for task in tasks
        if task.status == "RUNNING" and task.metrics_port and task.asked is None
    }
    return [
        {"targets": [address], "labels": {"service": service}}
        for address, service in sorted(found.items())
        if not f"{service}-".startswith(_WITHOUT_METRICS)
    ]


def write(file: Path, tasks: Iterable[Task]) -> None:
    """At once, and only if something changed: Prometheus watches the file. ``OSError`` if it can't."""
    text = json.dumps(targets(tasks), indent=1) + "\n"
    if file.exists() and file.read_text() == text:
        return
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)
