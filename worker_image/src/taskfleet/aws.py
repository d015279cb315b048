"""Clients of AWS's APIs: one per service and process, bounded in time.

The address comes from the environment that ECS gives (``AWS_REGION``), and locally from
``AWS_ENDPOINT_URL``; no code here knows the difference.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.loaders import create_loader

from taskfleet.per_process import PerProcess

# A call that a task's publish waits for must not take longer than a person would notice: 1.2 s in all. In an
# outage of Redis all of a process's threads send to SQS at once, each on a connection of the client's pool.
PROMPT_CONNECTIONS = 50
PROMPT_SECONDS = 1.2
PROMPT = Config(
    connect_timeout=0.4,
    read_timeout=0.8,
    retries={"total_max_attempts": 1},
    max_pool_connections=PROMPT_CONNECTIONS,
)
# A call that a publish waits for before it goes to a broker.
BRIEF_SECONDS = 0.5
BRIEF = Config(
    connect_timeout=0.2,
    read_timeout=0.3,
    retries={"total_max_attempts": 1},
    max_pool_connections=PROMPT_CONNECTIONS,
)
# A call that something in the background waits for.
PATIENT = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 3, "mode": "standard"})


# What a worker's main process has read of the APIs' descriptions its children need not read again: 0.1 s of a
# processor each.
_loader = create_loader(os.environ.get("AWS_DATA_PATH"))


def region() -> str | None:
    """``AWS_REGION``, which boto3 itself does not read; None leaves it to boto3's own ways to know."""
    return os.environ.get("AWS_REGION") or None


class _Clients:
    def __init__(self) -> None:
        self._lock = threading.Lock()  # boto3 clients may be shared by threads, making them may not
        session = botocore.session.get_session()
        session.register_component("data_loader", _loader)
        self._session = boto3.session.Session(region_name=region(), botocore_session=session)
        self._made: dict[tuple[str, int], Any] = {}

    def get(self, service: str, config: Config) -> Any:
        key = (service, id(config))
        if key not in self._made:
            with self._lock:
                if key not in self._made:
                    self._made[key] = self._session.client(service, config=config)
        return self._made[key]


_clients = PerProcess(_Clients)


def client(service: str, config: Config = PATIENT) -> Any:
    """The process's boto3 client of ``service``; ``config`` is `PROMPT` or `PATIENT`."""
    return _clients.get().get(service, config)
