"""``python -m local.emulator --port N``: serve the emulated account until SIGTERM.

Exit code 3: the account on disk was lost in the middle of a stack operation and can't be used.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

INTERRUPTED = 3  # the exit code that says that the account is half of two states


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.emulator", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="where AWS is served, on 127.0.0.1")
    parser.add_argument("--broker-port", type=int, default=6379, help="what ElastiCache gives as its port")
    parser.add_argument("--results-port", type=int, default=6379, help="… for the cache of results")
    parser.add_argument(
        "--account", type=Path, help="keep the account in this folder; without it, in memory only"
    )
    parser.add_argument("--calls", type=Path, help="write down who asks for what in this file")
    return parser.parse_args()


def _environment(arguments: argparse.Namespace) -> dict[str, str]:
    """MiniStack reads its settings from the environment when it is imported."""
    settings = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(arguments.port),
        "LAMBDA_EXECUTOR": "local",
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING"),
        # None of these is part of a Taskfleet: no container is started, no other port is opened.
        "DOCKER_HOST": "unix:///nonexistent/docker.sock",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
    }
    if arguments.account is None:
        return settings
    arguments.account.mkdir(parents=True, exist_ok=True, mode=0o700)
    return settings | {
        "PERSIST_STATE": "1",
        "STATE_DIR": str(arguments.account),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(arguments.account / "s3"),
    }


def main() -> int:
    """Serve until told to stop."""
    arguments = _arguments()
    os.environ.update(_environment(arguments))
    # MiniStack reads the environment at import, so it can't be imported any earlier.
    from local.emulator import serve

    code = serve.serve(
        port=arguments.port,
        broker_port=arguments.broker_port,
        results_port=arguments.results_port,
        calls=arguments.calls,
    )
    if code == INTERRUPTED:
        (arguments.account / "interrupted").touch()
    return code


if __name__ == "__main__":
    sys.exit(main())
