"""Errors of AWS, in words that say what to do. No operator gets a traceback for a missing credential."""

from __future__ import annotations

import os
from typing import Any

import click
from botocore import exceptions as aws
from botocore.exceptions import BotoCoreError, ClientError

from taskfleet.errors import TaskfleetError

_NO_CREDENTIALS = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.CredentialRetrievalError,
    aws.ProfileNotFound,
    aws.TokenRetrievalError,
    aws.UnauthorizedSSOTokenError,
    aws.SSOTokenLoadError,
)
_NO_ANSWER = (
    aws.EndpointConnectionError,
    aws.ConnectTimeoutError,
    aws.ReadTimeoutError,
    aws.ConnectionClosedError,
    aws.ProxyConnectionError,
)
_REFUSED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_EXPIRED = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "UnrecognizedClientException", "InvalidClientTokenId"}
)


class Group(click.Group):
    """A group whose commands end with a sentence and exit code 1 when something is refused or fails."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(context)
        except TaskfleetError as error:
            raise click.ClickException(str(error)) from error
        except ClientError as error:
            raise click.ClickException(_refused(error)) from error
        except BotoCoreError as error:
            raise click.ClickException(_unreachable(error)) from error


def _unreachable(error: BotoCoreError) -> str:
    if isinstance(error, _NO_CREDENTIALS):
        return f"no AWS credentials: {error}. Log in (`aws sso login`), or set AWS_PROFILE"
    if isinstance(error, aws.NoRegionError):
        return "no AWS region: set AWS_REGION to the environment's, as in infra/environments.py"
    if isinstance(error, _NO_ANSWER):
        here = " Is the local fleet up (`make up`)?" if os.environ.get("AWS_ENDPOINT_URL") else ""
        return f"AWS does not answer: {error}.{here}"
    return f"AWS can't be asked: {error}"


def _refused(error: ClientError) -> str:
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    operation = error.operation_name
    if code in _REFUSED:
        return f"AWS refuses {operation} to you: {message}"
    if code in _EXPIRED:
        return f"your AWS credentials are not accepted: {message}. Log in again"
    if code in ("ResourceNotFoundException", "ClusterNotFoundException"):
        return (
            f"there is no such environment here ({operation}: {message or code}): check --environment, "
            "AWS_REGION and the account, or deploy it first"
        )
    return f"AWS refused {operation}: {code}: {message}"
