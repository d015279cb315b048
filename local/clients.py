"""Clients of the emulated account."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

from local.account import REGION, endpoint
from local.ports import Ports


def client(ports: Ports, service: str, config: Config | None = None) -> Any:
    """A boto3 client of it, whatever account this environment names."""
    return boto3.client(
        service,
        endpoint_url=endpoint(ports),
        region_name=REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - the emulated account takes any
        config=config,
    )
