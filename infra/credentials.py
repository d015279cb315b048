"""With which of your credentials the commands of an environment ask AWS."""

from __future__ import annotations

import boto3
from botocore.exceptions import ProfileNotFound

from infra.settings import Settings


def session(settings: Settings) -> boto3.Session:
    """In the environment's region. Ends the command where AWS_PROFILE names a profile that does not exist."""
    try:
        return boto3.Session(region_name=settings.region)
    except ProfileNotFound as error:
        raise SystemExit(
            f"{error}. Fix: AWS_PROFILE=… of those that `aws configure list-profiles` prints, or "
            "`aws configure sso` for a new one"
        ) from error
