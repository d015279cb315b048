"""``python -m infra.deploy ENV -- COMMAND``: deploy an environment with COMMAND (`cdk deploy`).

What the CDK's command line does not do by itself: it looks first whether a deploy can succeed
(`infra.preflight`), leaves stacks of somebody else's alone, leaves that of a release whose create fails for a
look (`infra.release_create`), and protects the long-lived stacks only once they have been made. The CDK would
protect them before: a create that fails then leaves a stack that neither it nor anybody else can delete, and
the next deploy fails for that.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from taskfleet import stacks
from taskfleet.contract import names
from taskfleet.errors import SettingsError
from taskfleet.releases.model import TAKES_ROOM, Record
from taskfleet.releases.store import Store

from infra import credentials, outcome, preflight, release_create, release_id
from infra.chosen import ALL
from infra.release_create import FAILED_CREATE, NOT_YET
from infra.settings import Settings

Run = Callable[[Sequence[str]], int]


def main() -> int:
    """The command line; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.deploy", description=__doc__)
    parser.add_argument("environment", choices=[one.name for one in ALL])
    parser.add_argument("command", nargs="+", help="after `--`: what deploys")
    parser.add_argument("--release", type=release_id.given, help="the id of the release that it deploys")
    given = parser.parse_args()
    (settings,) = (one for one in ALL if one.name == given.environment)
    try:
        release = release_id.release_id(settings, given.release)
    except SettingsError as error:
        print(f"SettingsError: {error}", file=sys.stderr)
        return 1
    session = credentials.session(settings)
    if not preflight.passes(settings, session, release=release):
        print(f"nothing is deployed: see above, and `make preflight ENV={settings.name}`", file=sys.stderr)
        return 1
    terminal = sys.stdin.isatty()
    if not terminal:
        print(
            "no terminal: nobody is asked to approve changes of permissions; the merge was the approval",
            flush=True,
        )
    command = [*given.command, *_approval(settings, terminal=terminal)]
    began = time.time()
    try:
        store = Store(session.client("dynamodb"), settings.name)
        command += fleet_beat(store)
        code = deploy(settings, session.client("cloudformation"), command, run=_run, release=release)
        well = _follow(store, release, since=began)
        return code or (0 if well else 1)
    except (BotoCoreError, ClientError, stacks.NotDeleted) as error:
        print(f"{settings.name} is not deployed: {error}", file=sys.stderr)
        return 1


def deploy(settings: Settings, cloudformation: Any, command: Sequence[str], *, run: Run, release: str) -> int:
    """Run ``command``, the release's stack after the others if it is to be made. The exit code."""
    new = release_create.is_new(settings, cloudformation, release)
    apart = release_create.commands(settings, command, release)
    if apart is None or not new or not settings.keep_failed_seconds:
        return _deploy(settings, cloudformation, command, run=run)
    base, own = apart
    if code := _deploy(settings, cloudformation, base, run=run):
        return code
    code = run(own)
    for line in release_create.left(settings, cloudformation, release) if code else ():
        print(line, flush=True)
    return code


def _deploy(settings: Settings, cloudformation: Any, command: Sequence[str], *, run: Run) -> int:
    """Run ``command``; where stacks are made for the first time, once more to protect them. Its exit code."""
    first = not_yet_made(settings, cloudformation)
    if not (settings.keep_data and first):
        return run(command)
    code = run([*command, "-c", f"unprotected={','.join(first)}"])
    if code:
        return code
    print(f"{', '.join(first)}: made; now they are protected against deletion", flush=True)
    return run(command)


def fleet_beat(store: Store) -> list[str]:
    """Keeps the fleet's beat while a release with workers has none of its own: one of the version before.

    Such a release is current, or may be gone back to. The first deploy after the last of them removes it.
    """
    try:
        seen = store.scan()
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return []  # the environment's first deploy
        raise
    without = any(record.state in TAKES_ROOM and not record.manifest.beat for record in seen.records.values())
    return ["-c", "fleet-beat=kept"] if without else []


def not_yet_made(settings: Settings, cloudformation: Any) -> list[str]:
    """The long-lived stacks that no deploy has completed yet. What failed to be made loses its protection."""
    found = {part: stacks.find(cloudformation, names.stack(settings.name, part)) for part in names.LONG_LIVED}
    for stack in found.values():
        if stack and stack["StackStatus"] in FAILED_CREATE and stack.get("EnableTerminationProtection"):
            cloudformation.update_termination_protection(
                StackName=stack["StackName"], EnableTerminationProtection=False
            )
    return [part for part, stack in found.items() if (stack and stack["StackStatus"]) in NOT_YET]


def _approval(settings: Settings, *, terminal: bool) -> list[str]:
    """Without a terminal nobody can be asked: the CDK would refuse each change of a permission."""
    return [] if terminal and not settings.on_this_machine else ["--require-approval", "never"]


def _follow(store: Store, release: str, *, since: float) -> bool:
    """What becomes of its releases, and whether that is well. CloudFormation has ended, and nothing depends
    on this: the controller goes on without it.
    """
    try:
        snapshot, well = outcome.follow(store, since=since, say=partial(print, flush=True))
        look = store.read_look()
        refused = store.refused_build(release) if release == names.ROLLING else None
    except (BotoCoreError, ClientError) as error:
        print(f"what became of its release can't be read: {error}", file=sys.stderr)
        return False
    looked_at = look[1] if look else None
    lines = [
        *outcome.refusal(refused, since=since),
        *outcome.describe(snapshot, since=since, looked_at=looked_at, now=time.time()),
    ]
    record = snapshot.records.get(release)
    if record is not None and record.rejected and not _moved(record, since):
        well = False
        lines.append(
            f"release {release} is as it was: {record.rejected}. Nothing gates the same image again: mend "
            "it, and deploy it under a new id, or `fleet release promote` it"
        )
    for line in lines:
        print(line, flush=True)
    return well


def _moved(record: Record, since: float) -> bool:
    return record.history[-1].at >= since


def _run(command: Sequence[str]) -> int:
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
