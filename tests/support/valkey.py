"""A real valkey-server that a test may kill, hang and bring back."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from taskfleet.testing import servers

from tests.support.processes import free_port

PASSWORD = "a-password-for-tests"


class Valkey(servers.Valkey):
    """One server on a port that outgoing connections don't take, with a known password."""

    def __init__(
        self,
        directory: Path,
        *,
        durable: bool = False,
        password: str = PASSWORD,
        replica_of: Self | None = None,
    ) -> None:
        super().__init__(
            directory, port=free_port(), durable=durable, password=password, replica_of=replica_of
        )
