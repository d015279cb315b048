"""An emulated AWS account of a test's own: MiniStack on a free loopback port, with nothing kept on disk."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import boto3

from tests.support.processes import free_port, stop, wait_for

REGION = "us-east-1"


class MiniStack:
    """The account's endpoint; ``environment`` is what a process needs to talk to it."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.port = free_port()
        self._directory, self._settings = directory, settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """For ``endpoint_url``. The name, not the number: S3 wants a host name."""
        return f"http://localhost:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What ECS gives a container, and the endpoint."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str) -> Any:
        """A boto3 client of the account."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def start(self) -> None:
        """Start it on its port, and return when it answers."""
        environment = os.environ | {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_HOST": "localhost",
            "LAMBDA_EXECUTOR": "local",
            "TMPDIR": str(self._directory),
            "S3_DATA_DIR": str(self._directory / "s3"),
            "LOG_LEVEL": "WARNING",
            **self._settings,
        }
        with (self._directory / "ministack.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ministack"],
                env=environment,
                stdout=log,
                stderr=log,
                cwd=self._directory,
            )
        wait_for(self.answers, seconds=60, what=f"MiniStack on port {self.port}")

    def answers(self) -> bool:
        """Whether it serves requests now."""
        try:
            with urllib.request.urlopen(f"{self.endpoint}/_localstack/health", timeout=2) as reply:  # noqa: S310 - loopback
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        """End it; what it held is gone. ``start`` brings back an empty account on the same port."""
        if self._process is not None:
            stop(self._process)

    def signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
