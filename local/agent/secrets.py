"""Resolve what a container definition names under ``secrets``, as ECS does when a task starts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.agent.definitions import StartError


class Secrets:
    """Reads Secrets Manager and SSM of the emulated account."""

    def __init__(self, *, secretsmanager: Any, ssm: Any) -> None:
        self._secretsmanager, self._ssm = secretsmanager, ssm

    def resolve(self, secrets: Mapping[str, str]) -> dict[str, str]:
        """Variable name → value. Raises `StartError` naming what could not be read and why."""
        values = {}
        for name, value_from in secrets.items():
            try:
                values[name] = self._value(value_from)
            except (BotoCoreError, ClientError, ValueError, KeyError) as error:
                raise StartError(
                    f"ResourceInitializationError: unable to read {value_from} for {name}: {error}"
                ) from error
        return values

    def _value(self, value_from: str) -> str:
        parts = value_from.split(":")
        if parts[0] == "arn" and parts[2] == "secretsmanager":
            return self._secret(parts)
        name = value_from
        if parts[0] == "arn":
            # arn:aws:ssm:<region>:<account>:parameter/<name>; a name with a path starts with a slash.
            path = parts[5].removeprefix("parameter/")
            name = f"/{path}" if "/" in path else path
        return str(self._ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"])

    def _secret(self, parts: list[str]) -> str:
        """``…:secret:<name>[:<json key>:<version stage>:<version id>]``; each may be empty."""
        key, stage, version = (*parts[7:10], "", "", "")[:3]
        request = {"SecretId": ":".join(parts[:7])}
        request |= {"VersionStage": stage} if stage else {}
        request |= {"VersionId": version} if version else {}
        text = str(self._secretsmanager.get_secret_value(**request)["SecretString"])
        if not key:
            return text
        value = json.loads(text)[key]
        return value if isinstance(value, str) else json.dumps(value)
