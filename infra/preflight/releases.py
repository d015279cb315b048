"""Whether there is room for the release: the controller refuses one too many at its first look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from taskfleet.releases.model import TAKES_ROOM, Record, State
from taskfleet.releases.room import make_room, no_room
from taskfleet.releases.store import Store

from infra.preflight.account import unknown
from infra.preflight.finding import Finding
from infra.preflight.finding import State as Answer
from infra.settings import Settings

# The controller looks for room when it registers a release: one that is new, or deployed once more.
_REGISTERED = (None, State.FAILED, State.RETIRED)


def room(settings: Settings, session: boto3.Session, release: str) -> Iterator[Finding]:
    """Ask the state table, and judge."""
    try:
        records = Store(session.client("dynamodb"), settings.name).scan().records
    except (BotoCoreError, ClientError) as error:
        if _code(error) != "ResourceNotFoundException":
            yield unknown("releases", error)
            return
        records = {}
    yield judge(settings, records, release)


def judge(settings: Settings, records: Mapping[str, Record], release: str) -> Finding:
    """Of the release that is deployed, beside those that the table has. Pure."""
    most = settings.max_live_releases
    found = records.get(release)
    others = [one for one in records.values() if one.state in TAKES_ROOM and one.release != release]
    why = no_room(others, most) if (found and found.state) in _REGISTERED else None
    if why is None:
        return Finding(
            what="releases",
            state=Answer.OK,
            found=f"{release} is to be deployed, {_beside(len(others))} (at most {most} may)",
        )
    command = make_room(others)
    return Finding(
        what="releases",
        state=Answer.MISSING,
        found=f"there is no room for {release}: {why}",
        then="retire the one that drained first, or raise max_live_releases:"
        if command
        else "wait until one has drained (`fleet status`), or raise max_live_releases",
        run=(command.replace("fleet ", f"fleet -e {settings.name} ", 1),) if command else (),
    )


def _beside(others: int) -> str:
    return {0: "and no other has workers", 1: "beside one with workers"}.get(
        others, f"beside {others} with workers"
    )


def _code(error: BotoCoreError | ClientError) -> str:
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""
