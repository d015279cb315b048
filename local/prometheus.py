"""A Prometheus on this machine, with the project's rules."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import IO, Any

from observe.written import RULES

NAME = "prometheus"
LOG = "prometheus.log"
SCRAPED_EVERY_SECONDS = 5


def start(
    folder: Path,
    *,
    targets: Path,
    port: int,
    every_seconds: int = SCRAPED_EVERY_SECONDS,
    lock: IO[str] | None = None,
) -> subprocess.Popen[bytes]:
    """On a loopback port; everything that it writes is in ``folder``. ``FileNotFoundError`` without one.

    A ``lock`` is held by it, too, as long as it lives.
    """
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "prometheus.yml"
    # JSON is YAML.
    configuration.write_text(json.dumps(_configuration(targets, f"{every_seconds}s")))
    with (folder / LOG).open("ab") as log:
        return subprocess.Popen(
            [
                NAME,
                f"--config.file={configuration}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(lock.fileno(),) if lock else (),
        )


def ready(process: subprocess.Popen[bytes], address: str, *, seconds: float) -> bool:
    """Whether it answers within so many seconds."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"{address}/-/ready", timeout=1),  # noqa: S310 - loopback
        ):
            return True
        time.sleep(0.1)
    return False


def _configuration(targets: Path, every: str) -> dict[str, Any]:
    found = {"job_name": "taskfleet", "file_sd_configs": [{"files": [str(targets)]}]}
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": [str(RULES)],
        "scrape_configs": [found],
    }
