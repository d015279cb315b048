"""Secrets Manager: ``Ref`` of a secret is its ARN, a generated password keeps to its exclusions, and dates
(of a secret's last change, of its versions) are as precise as AWS's.
"""

from __future__ import annotations

import json
import secrets as randomness
import string
import time
from collections.abc import Callable
from typing import Any

from ministack.services import secretsmanager
from ministack.services.cloudformation import provisioners

from local.emulator.shims import table
from local.emulator.shims.table import Made, Properties

_TYPE = "AWS::SecretsManager::Secret"


def generated(rules: Properties) -> str:
    """A password by ``GenerateSecretString``: what is excluded never occurs, each other kind does."""
    excluded = set(str(rules.get("ExcludeCharacters", "")))
    kinds = {
        "ExcludeLowercase": string.ascii_lowercase,
        "ExcludeUppercase": string.ascii_uppercase,
        "ExcludeNumbers": string.digits,
        "ExcludePunctuation": string.punctuation,
    }
    alphabets = [
        "".join(c for c in alphabet if c not in excluded)
        for rule, alphabet in kinds.items()
        if str(rules.get(rule, False)).lower() != "true"
    ]
    alphabets = [alphabet for alphabet in alphabets if alphabet]
    length = int(rules.get("PasswordLength", 32))
    picked = [randomness.choice(alphabet) for alphabet in alphabets]
    everything = "".join(alphabets)
    picked += [randomness.choice(everything) for _ in range(length - len(picked))]
    randomness.SystemRandom().shuffle(picked)
    return "".join(picked[:length])


def _secret_string(properties: Properties) -> str:
    rules = properties.get("GenerateSecretString")
    if rules is None:
        return str(properties.get("SecretString", ""))
    if "SecretStringTemplate" not in rules:
        return generated(rules)
    return json.dumps(
        {**json.loads(rules["SecretStringTemplate"]), rules["GenerateStringKey"]: generated(rules)}
    )


def _name(arn: str) -> str:
    found = next((name for name, secret in secretsmanager._secrets.items() if secret["ARN"] == arn), None)
    return found or arn


def _dated(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def changed(asked: Any) -> Any:
        answer = change(asked)
        _, secret = secretsmanager._resolve(asked.get("SecretId"))
        if secret and answer[0] < 400:
            secret["LastChangedDate"] = time.time()
            if written := secret["Versions"].get(asked.get("ClientRequestToken")):
                written["CreatedDate"] = secret["LastChangedDate"]
        return answer

    return changed


def register() -> None:
    """Replace the handlers of AWS::SecretsManager::Secret."""
    create = table.handler(_TYPE, "create")
    update = table.handler(_TYPE, "update")
    delete = table.handler(_TYPE, "delete")
    provisioners._sm_secret_string = _secret_string
    for change in ("_put_secret_value", "_update_secret", "_update_secret_version_stage"):
        setattr(secretsmanager, change, _dated(getattr(secretsmanager, change)))

    def created(logical_id: str, properties: Properties, stack_name: str) -> Made:
        _, attributes = create(logical_id, properties, stack_name)
        return attributes["Arn"], attributes

    def updated(arn: str, old: Properties, new: Properties, stack_name: str, logical_id: str) -> Made:
        _, attributes = update(_name(arn), old, new, stack_name, logical_id)
        return attributes["Arn"], attributes

    def deleted(arn: str, properties: Properties) -> None:
        delete(_name(arn), properties)

    table.add(_TYPE, create=created, update=updated, delete=deleted)
