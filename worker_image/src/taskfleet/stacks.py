"""Whose a stack is, and deleting one."""

from __future__ import annotations

import shlex
import time
from typing import Any

from botocore.exceptions import ClientError

from taskfleet.contract import names
from taskfleet.errors import ReleaseError

_LOOK_EVERY_SECONDS = 3.0
_AT_MOST_SECONDS = 1800.0


class NotDeleted(ReleaseError):
    """CloudFormation did not delete the stack."""


def foreign(environment: str, stack: dict[str, Any], *, owner: str | None = None) -> str | None:
    """Why a stack, as `describe_stacks` gives it, is not one of this environment's, or None.

    ``owner`` is that of the settings; None where they are not known, as in the controller and in `fleet`: the
    controller's role and the operators' policy let them delete no other owner's.
    """
    found = {tag["Key"]: tag["Value"] for tag in stack.get("Tags", ())}
    wanted = names.stack_tags(environment, owner or "")
    theirs = found.get(names.OWNER_TAG, "")
    if wanted.items() <= found.items() and (owner is None or owner == theirs):
        return None
    if theirs and owner is not None:
        return (
            f"the stack {stack['StackName']} is of the owner {theirs!r}, and owner in infra/environments.py "
            f"is {owner!r}: another team uses the name {environment} in this account and region. Rename your "
            "environment; or, if the stack is yours, set its owner again"
        )
    name, tags = stack["StackName"], " and ".join(f"{key}={value}" for key, value in wanted.items())
    return (
        f"the stack {name} is not ours: it lacks the tags {tags}, which each deploy sets. "
        "Whoever made it must rename or delete it; one of ours that lost its tags gets them back by "
        f"`{_tagged(stack, {**found, **wanted})}`"
    )


def _tagged(stack: dict[str, Any], tags: dict[str, str]) -> str:
    """The command that gives a stack these tags and changes nothing else of it."""
    words = ["aws", "cloudformation", "update-stack", "--stack-name", stack["StackName"]]
    words += ["--use-previous-template", "--capabilities", "CAPABILITY_NAMED_IAM"]
    if parameters := stack.get("Parameters"):
        # Without it, CloudFormation would take the template's defaults.
        words += ["--parameters"]
        words += [f"ParameterKey={each['ParameterKey']},UsePreviousValue=true" for each in parameters]
    words += ["--tags", *(f"Key={key},Value={value}" for key, value in sorted(tags.items()))]
    return shlex.join(words)


def failure(stack: dict[str, Any]) -> str | None:
    """Why a stack is not what it was to be, as `describe_stacks` gives it; None: it is, or is at work."""
    status, reason = stack["StackStatus"], stack.get("StackStatusReason", "")
    if not status.endswith(("_FAILED", "ROLLBACK_COMPLETE")):
        return None
    return f"{status}: {reason}" if reason else str(status)


def of_environment(cloudformation: Any, environment: str) -> list[dict[str, Any]]:
    """Every stack with a name of this environment's, whoever made it, as `describe_stacks` gives it."""
    long_lived = {names.stack(environment, part) for part in names.LONG_LIVED}
    prefix = names.release_stack_prefix(environment)
    pages = cloudformation.get_paginator("describe_stacks").paginate()
    return [
        stack
        for page in pages
        for stack in page["Stacks"]
        if stack["StackName"] in long_lived or stack["StackName"].startswith(prefix)
    ]


def delete(
    cloudformation: Any, stack: str, *, environment: str, wait: bool, owner: str | None = None
) -> None:
    """Delete a stack of this environment; one that is gone already is fine.

    `NotDeleted` says why CloudFormation would not, or that the stack is somebody else's (`foreign`).
    """
    found = find(cloudformation, stack)
    if found is not None and (reason := foreign(environment, found, owner=owner)):
        raise NotDeleted(reason)
    try:
        cloudformation.delete_stack(StackName=stack)
    except ClientError as error:
        if _absent(error):
            return
        raise NotDeleted(f"CloudFormation does not delete {stack}: {error}") from error
    end = time.monotonic() + _AT_MOST_SECONDS
    while wait and (found := find(cloudformation, stack)) is not None:
        status = found["StackStatus"]
        if status == "DELETE_FAILED":
            reason = found.get("StackStatusReason", "")
            raise NotDeleted(
                f"CloudFormation could not delete {stack}: {reason}; mend that, then run this again"
            )
        if time.monotonic() > end:
            raise NotDeleted(f"{stack} is still {status} after {_AT_MOST_SECONDS / 60:g} minutes")
        time.sleep(_LOOK_EVERY_SECONDS)


def find(cloudformation: Any, stack: str) -> dict[str, Any] | None:
    """A stack as `describe_stacks` gives it, or None when it is gone."""
    try:
        found: dict[str, Any] = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if _absent(error):
            return None
        raise
    return None if found["StackStatus"] == "DELETE_COMPLETE" else found


def _absent(error: ClientError) -> bool:
    return "does not exist" in error.response["Error"].get("Message", "")
