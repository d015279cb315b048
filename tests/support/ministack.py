"""An emulated AWS account of a test's own: MiniStack on a free loopback port, with nothing kept on disk."""

from __future__ import annotations

from pathlib import Path

from taskfleet.testing import servers

from tests.support.processes import free_port

REGION = servers.REGION


class MiniStack(servers.Account):
    """The account on a port that outgoing connections don't take; ``settings`` as in its base."""

    def __init__(self, directory: Path, **settings: str) -> None:
        super().__init__(directory, port=free_port(), **settings)
