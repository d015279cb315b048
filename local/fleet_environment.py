"""The environment of a producer on this machine: what `make up` wrote for one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from taskfleet.contract import parameters
from taskfleet.contract.environment import ENVIRONMENT

from local.places import Places

_PROMPT = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1})


class NotUp(Exception):
    """The local fleet is not up. The message says what is missing, and what to do."""


def of_producer(places: Places) -> dict[str, str]:
    """This process's environment with the fleet's variables, as a shell has it after ``. build/local/env``.

    Raises `NotUp` without a fleet, or while it has no current release yet.
    """
    if not places.env.exists():
        raise NotUp(f"The local fleet is not up: there is no {places.env}. Run `make up` first.")
    variables = sourced(places.env)
    _check(variables)
    return variables


def sourced(path: Path) -> dict[str, str]:
    """The environment of a shell that was started here and has read the file."""
    script = '. "$1" && exec "$2" -c "import json, os; print(json.dumps(dict(os.environ)))"'
    command = ["/bin/sh", "-c", script, "sh", str(path), sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    variables: dict[str, str] = json.loads(done.stdout)
    return variables


def _check(variables: Mapping[str, str]) -> None:
    endpoint = variables.get("AWS_ENDPOINT_URL", "")
    name = parameters.current_release(variables[ENVIRONMENT.name])
    ssm = boto3.client(
        "ssm",
        endpoint_url=endpoint,
        region_name=variables.get("AWS_REGION", "us-east-1"),
        aws_access_key_id=variables.get("AWS_ACCESS_KEY_ID", "test"),
        aws_secret_access_key=variables.get("AWS_SECRET_ACCESS_KEY", "test"),
        config=_PROMPT,
    )
    try:
        ssm.get_parameter(Name=name)
    except ssm.exceptions.ParameterNotFound:
        raise NotUp(
            "The local fleet has no current release yet: its first one is still being proved. "
            "`fleet status` shows how far it is; try again in a moment."
        ) from None
    except (BotoCoreError, ClientError) as error:
        raise NotUp(
            f"The local fleet is not up: its account at {endpoint} does not answer ({error}). "
            "Run `make up` first."
        ) from None
