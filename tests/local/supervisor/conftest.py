"""A supervisor in a folder of its own, with a broker secret in its account as a deployment leaves one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import redis
from taskfleet.contract import names

from local.agent import procfs
from local.down import down, supervisor_pid
from local.places import VARIABLE, Places
from local.ports import Ports
from local.supervisor.status import State, Status
from tests.support.processes import wait_for

PASSWORD = "a-password-for-this-test"


class Supervised:
    """The processes of one local folder."""

    def __init__(self, folder: Path) -> None:
        self.places = Places(folder)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "local.supervisor"],
            env={**os.environ, VARIABLE: str(self.places.root)},
            start_new_session=True,
        )
        self.wait(lambda: self.runs("emulator", "front", "agent"), what="the processes")

    def wait(self, happened: Callable[[], object], *, what: str) -> None:
        wait_for(happened, seconds=60, what=what)

    @property
    def status(self) -> Status:
        status = Status.read(self.places.status)
        assert status is not None
        return status

    def runs(self, *children: str) -> bool:
        status = Status.read(self.places.status)
        return status is not None and all(status.children[name].state is State.RUNNING for name in children)

    def pid(self, child: str) -> int:
        pid = self.status.children[child].pid
        assert pid is not None
        return pid

    @property
    def ports(self) -> Ports:
        ports = Ports.load(self.places.ports)
        assert ports is not None
        return ports

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=f"http://localhost:{self.ports.emulator}",
            region_name="us-east-1",
            aws_access_key_id="t",
            aws_secret_access_key="t",
        )

    def deploy_secret(self, password: str = PASSWORD) -> None:
        secret = json.dumps({"username": "default", "password": password})
        self.client("secretsmanager").create_secret(Name=names.broker_secret("local"), SecretString=secret)
        self.wait(lambda: self.runs("broker"), what="the broker")

    def deploy_nodes(self, count: int) -> None:
        self.client("elasticache").create_replication_group(
            ReplicationGroupId=names.broker("local"),
            ReplicationGroupDescription="broker",
            NumCacheClusters=count,
        )

    def broker(self, password: str = PASSWORD, port: int | None = None) -> redis.Redis:
        return redis.Redis(
            host="localhost",
            port=port or self.ports.broker,
            password=password,
            ssl=True,
            ssl_ca_certs=str(self.places.ca),
            socket_timeout=5,
            decode_responses=True,
        )

    def processes(self) -> list[int]:
        """Everything that lives and has the folder's name in its command or environment."""
        mark = str(self.places.root).encode()
        return [process.pid for process in procfs.processes() if mark in _words(process.pid)]


def _words(pid: int) -> bytes:
    words = b""
    for name in ("cmdline", "environ"):
        try:
            words += Path(f"/proc/{pid}/{name}").read_bytes()
        except OSError:
            continue
    return words


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    supervised = Supervised(tmp_path / "local")
    supervised.start()
    yield supervised
    down(supervised.places)
    assert supervised.process is not None
    supervised.process.wait(10)
    assert supervisor_pid(supervised.places) is None
