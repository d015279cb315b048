"""The environment of a producer on this machine: what `make up` wrote for one."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping

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
    """This process's environment and the fleet's variables.

    Raises `NotUp` without a fleet, or while it has no current release yet.
    """
    try:
        text = places.env.read_text()
    except FileNotFoundError:
        raise NotUp(f"The local fleet is not up: there is no {places.env}. Run `make up` first.") from None
    variables = parse(text)
    _check(variables)
    return os.environ | variables


def parse(text: str) -> dict[str, str]:
    """The variables of a file that a shell can source: ``export NAME=value`` lines."""
    variables = {}
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        for word in words[1:] if words[:1] == ["export"] else words:
            name, equals, value = word.partition("=")
            if equals:
                variables[name] = value
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
