"""Where the agent works: from its environment and command line, read once."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.places import REPOSITORY, VARIABLE, Places


@dataclass(frozen=True, kw_only=True)
class AgentSettings:
    """``live_source`` is what the live image runs; ``local_directory`` is where everything is kept."""

    endpoint: str
    region: str
    local_directory: Path
    live_source: Path

    @property
    def tasks(self) -> Path:
        """One private directory per running task."""
        return self.local_directory / "tasks"

    @property
    def logs(self) -> Path:
        """``<service>/<task id>.log``."""
        return Places(self.local_directory).logs

    @property
    def journal(self) -> Path:
        """What ran, as `drills.tasks.recording` records it."""
        return Places(self.local_directory).journal

    @property
    def drills(self) -> Path:
        """A directory for ``PYTHONPATH`` that has the package `drills` and nothing else of the repository."""
        return self.local_directory / "drills-path"

    @property
    def images(self) -> Path:
        """Unpacked images."""
        return self.local_directory / "images"

    @property
    def scraped(self) -> Path:
        """Where each container serves `/metrics`, for a Prometheus."""
        return Places(self.local_directory).scraped

    @property
    def certificate(self) -> Path:
        """The certificate authority of the local broker's TLS front."""
        return Places(self.local_directory).ca


def read(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> AgentSettings:
    """``--help`` says what can be set. Ends the process with a message if the endpoint is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m local.agent", description="Run the emulated account's ECS services on this machine."
    )
    parser.add_argument(
        "--endpoint",
        default=environment.get("AWS_ENDPOINT_URL"),
        help="the emulated account's URL; AWS_ENDPOINT_URL unless given",
    )
    parser.add_argument(
        "--region", default=environment.get("AWS_REGION", "us-east-1"), help="AWS_REGION, or us-east-1"
    )
    parser.add_argument(
        "--local-dir",
        type=Path,
        default=Places.from_environment().root,
        help=f"logs, images and tasks go here; {VARIABLE}, or build/local",
    )
    parser.add_argument(
        "--live-source",
        type=Path,
        default=REPOSITORY / "worker_image" / "src",
        help="what the live image runs, and is watched",
    )
    given = parser.parse_args(arguments)
    if not given.endpoint:
        parser.error("where is the emulated account? Set AWS_ENDPOINT_URL or give --endpoint")
    return AgentSettings(
        endpoint=given.endpoint,
        region=given.region,
        local_directory=given.local_dir.resolve(),
        live_source=given.live_source.resolve(),
    )
