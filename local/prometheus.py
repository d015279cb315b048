"""A Prometheus on this machine, with the project's rules."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from observe.written import RULES

NAME = "prometheus"
SCRAPED_EVERY_SECONDS = 5


def start(
    folder: Path, *, targets: Path, port: int, every_seconds: int = SCRAPED_EVERY_SECONDS
) -> subprocess.Popen[bytes]:
    """On a loopback port; everything that it writes is in ``folder``. ``FileNotFoundError`` without one."""
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "prometheus.yml"
    # JSON is YAML.
    configuration.write_text(json.dumps(_configuration(targets, f"{every_seconds}s")))
    with (folder / "prometheus.log").open("ab") as log:
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
        )


def _configuration(targets: Path, every: str) -> dict[str, Any]:
    found = {"job_name": "taskfleet", "file_sd_configs": [{"files": [str(targets)]}]}
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": [str(RULES)],
        "scrape_configs": [found],
    }
