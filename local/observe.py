"""A Prometheus on this machine, with the project's rules."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from observe.written import RULES

SCRAPED_EVERY_SECONDS = 5


def start_prometheus(
    folder: Path, *, targets: Path, port: int, every_seconds: int = SCRAPED_EVERY_SECONDS
) -> subprocess.Popen[bytes]:
    """On a loopback port, with the project's rules; everything that it writes is in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    every = f"{every_seconds}s"
    # JSON is YAML.
    configuration = folder / "prometheus.yml"
    configuration.write_text(
        json.dumps(
            {
                "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
                "rule_files": [str(RULES)],
                "scrape_configs": [{"job_name": "taskfleet", "file_sd_configs": [{"files": [str(targets)]}]}],
            }
        )
    )
    with (folder / "prometheus.log").open("ab") as log:
        return subprocess.Popen(
            [
                "prometheus",
                f"--config.file={configuration}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
