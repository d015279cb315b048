"""The file that a shell sources to talk to the local fleet, and what it trusts."""

from __future__ import annotations

import shlex
import ssl
from pathlib import Path

from taskfleet.contract import environment as variables

from local.account import ENVIRONMENT, aws_environment
from local.places import REPOSITORY, VARIABLE, Places
from local.ports import Ports


def write(places: Places, ports: Ports, *, result_backend: str | None = None) -> None:
    """No secret in it: the broker's password is read from Secrets Manager by whoever needs it."""
    _write_trusted(places)
    values = aws_environment(ports) | {
        variables.ENVIRONMENT.name: ENVIRONMENT,
        variables.BROKER_HOST.name: "localhost",
        variables.BROKER_PORT.name: str(ports.broker),
        "SSL_CERT_FILE": str(places.trusted),
        VARIABLE: str(places.root),
    }
    if result_backend is not None:
        values[variables.RESULT_BACKEND.name] = result_backend
    lines = [f"# Written by `make up`. Use it with:  . {places.env}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    lines.append(f'export PATH={shlex.quote(str(REPOSITORY / ".venv" / "bin"))}:"$PATH"')
    lines.append("unset AWS_PROFILE AWS_SESSION_TOKEN")
    places.env.write_text("\n".join(lines) + "\n")


def _write_trusted(places: Places) -> None:
    """The broker's authority before this machine's own: the variable replaces those, it adds none."""
    system = ssl.get_default_verify_paths().cafile
    own = Path(system).read_text() if system else ""
    places.trusted.write_text(places.ca.read_text() + own)
