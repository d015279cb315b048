"""Deleting a release's stack."""

from __future__ import annotations

import time
from typing import Any

from botocore.exceptions import ClientError

from taskfleet.errors import ReleaseError

_LOOK_EVERY_SECONDS = 3.0
_AT_MOST_SECONDS = 1800.0


class NotDeleted(ReleaseError):
    """CloudFormation did not delete the stack."""


def delete(cloudformation: Any, stack: str, *, wait: bool) -> None:
    """Delete a stack; one that is gone already is fine. `NotDeleted` says why CloudFormation would not."""
    try:
        cloudformation.delete_stack(StackName=stack)
    except ClientError as error:
        if _absent(error):
            return
        raise NotDeleted(f"CloudFormation does not delete {stack}: {error}") from error
    end = time.monotonic() + _AT_MOST_SECONDS
    while wait and (status := _status(cloudformation, stack)) is not None:
        if status[0] == "DELETE_FAILED":
            raise NotDeleted(
                f"CloudFormation could not delete {stack}: {status[1]}; mend that, then run this again"
            )
        if time.monotonic() > end:
            raise NotDeleted(f"{stack} is still {status[0]} after {_AT_MOST_SECONDS / 60:g} minutes")
        time.sleep(_LOOK_EVERY_SECONDS)


def _status(cloudformation: Any, stack: str) -> tuple[str, str] | None:
    """(status, reason), or None when the stack is gone."""
    try:
        (found,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if _absent(error):
            return None
        raise
    if found["StackStatus"] == "DELETE_COMPLETE":
        return None
    return found["StackStatus"], found.get("StackStatusReason", "")


def _absent(error: ClientError) -> bool:
    return "does not exist" in error.response["Error"].get("Message", "")
