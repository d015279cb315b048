"""``python -m infra.destroy ENV -- COMMAND``: delete an environment, its base with COMMAND (`cdk destroy`).

The CDK's app knows one release, that of today's source. Those that were deployed before are stacks too, and
ECS does not delete a cluster that still has services. The pointer to the current release is the controller's
and in no stack, so it goes last. An environment that keeps its data, or is not in the account of these
credentials, or has a stack's name in use for a stack that does not carry our tags, is left alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from taskfleet import stacks
from taskfleet.contract import names, parameters

from infra import credentials, rules
from infra.chosen import ALL
from infra.settings import Settings


def main() -> int:
    """The command line. 0 if everything is gone."""
    parser = argparse.ArgumentParser(prog="python -m infra.destroy", description=__doc__)
    parser.add_argument("environment", choices=[one.name for one in ALL])
    parser.add_argument("--yes", action="store_true", help="don't ask")
    parser.add_argument("command", nargs="+", help="after `--`: what deletes the long-lived stacks")
    given = parser.parse_args()
    (settings,) = (one for one in ALL if one.name == given.environment)
    session = credentials.session(settings)
    try:
        if reason := refused(settings, session.client("sts")):
            print(f"nothing is deleted: {reason}", file=sys.stderr)
            return 1
        cloudformation = session.client("cloudformation")
        found = stacks.of_environment(cloudformation, settings.name)
        if reasons := [
            reason for one in found if (reason := stacks.foreign(settings.name, one, owner=settings.owner))
        ]:
            print("nothing is deleted:", *reasons, sep="\n- ", file=sys.stderr)
            return 1
        releases = _releases(settings.name, found)
        if not given.yes and (reason := _not_agreed(settings.name, releases, sys.stdin.isatty())):
            print(reason)
            return 1
        _delete(cloudformation, settings.name, releases)
        if code := subprocess.run(given.command, check=False).returncode:
            return code
        _forget_pointer(session.client("ssm"), settings.name)
    except (stacks.NotDeleted, BotoCoreError, ClientError) as error:
        print(f"not everything of {settings.name} is deleted: {error}", file=sys.stderr)
        return 1
    return 0


def refused(settings: Settings, sts: Any) -> str | None:
    """Why nothing of the environment may be deleted with these credentials, or None."""
    if reason := rules.placeholder_account(settings):
        return reason
    if settings.keep_data:
        return (
            f"{settings.name} keeps its data, and its stacks are protected. To delete it for good, set its "
            f"keep_data=False in infra/environments.py, `make deploy ENV={settings.name}`, and try again"
        )
    account = sts.get_caller_identity()["Account"]
    if account != settings.account:
        return (
            f"{settings.name} is in account {settings.account}, and your credentials are of {account}: "
            "choose its profile (AWS_PROFILE)"
        )
    return None


def _releases(environment: str, found: Sequence[dict[str, Any]]) -> list[str]:
    prefix = names.release_stack_prefix(environment)
    return sorted(one["StackName"] for one in found if one["StackName"].startswith(prefix))


def _delete(cloudformation: Any, environment: str, releases: Sequence[str]) -> None:
    for stack in releases:
        print(f"  deleting {stack} …", flush=True)
        stacks.delete(cloudformation, stack, environment=environment, wait=True)


def _not_agreed(environment: str, releases: Sequence[str], terminal: bool) -> str | None:
    """Why not, or None after a yes. Without a terminal nobody is asked."""
    print(f"{environment} has releases: {', '.join(releases) or 'none'}")
    if not terminal:
        return (
            "nothing is deleted: there is no terminal to ask at. "
            f"`make destroy ENV={environment} YES=1` deletes it all without a question"
        )
    try:
        answer = input(f"Delete all of {environment}, and what waits in its queues (y/n)? ")
    except EOFError:
        answer = ""
    return None if answer.strip().lower() in ("y", "yes") else "nothing is deleted"


def _forget_pointer(ssm: Any, environment: str) -> None:
    for each in (parameters.current_release, parameters.canary_release):
        try:
            ssm.delete_parameter(Name=each(environment))
        except ClientError as error:
            if error.response["Error"]["Code"] != "ParameterNotFound":
                raise


if __name__ == "__main__":
    sys.exit(main())
