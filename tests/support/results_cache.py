"""The results' cache as the fleet's stack makes it: a Valkey behind TLS, its password in a secret."""

from __future__ import annotations

import json
from pathlib import Path

from taskfleet.contract import names, results

from tests.support.ministack import MiniStack
from tests.support.tls import TlsFront
from tests.support.valkey import Valkey


class ResultsCache:
    """Of one environment; close it. ``url`` is what its workers get."""

    def __init__(self, environment: str, directory: Path, aws: MiniStack, *, certificates: Path) -> None:
        directory.mkdir()
        self.valkey = Valkey(directory, password="another-password-than-the-brokers")
        self.valkey.start()
        self.front = TlsFront(certificates, self.valkey.port)
        self.front.start()
        self.url = results.cache_url("localhost", self.front.port)
        self._secrets, self._secret = aws.client("secretsmanager"), names.results_secret(environment)
        self._secrets.create_secret(Name=self._secret, SecretString=self._value())
        with self.valkey.client() as client:
            client.config_set("maxmemory-policy", "volatile-ttl")

    def _value(self) -> str:
        return json.dumps({"username": "default", "password": self.valkey.password})

    def rotate(self, password: str) -> None:
        """Another password in the secret and in the server; whoever was connected is cut off."""
        with self.valkey.client() as client:
            client.execute_command("ACL", "SETUSER", "default", "resetpass", f">{password}")
            self.valkey.password = password
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        self._secrets.put_secret_value(SecretId=self._secret, SecretString=self._value())

    def close(self) -> None:
        """End both processes."""
        self.front.stop()
        self.valkey.stop()
