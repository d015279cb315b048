"""`fleet broker rotate-password` and `fleet results …`: another password for a cache, while all goes on."""

from __future__ import annotations

import json
import secrets
import string
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from taskfleet.cli.dry_run import say, yes
from taskfleet.cli.operator import Operator, asks
from taskfleet.cli.output import duration
from taskfleet.contract import names, parameters
from taskfleet.contract import results as results_of
from taskfleet.contract.limits import BROKER_PASSWORD_LENGTH
from taskfleet.errors import TaskfleetError
from taskfleet.rotation import (
    CURRENT,
    FOLLOW_SECONDS,
    PENDING,
    ROTATED,
    CannotRotate,
    Seen,
    Step,
    next_step,
    steps_from,
)

_LOOK_EVERY_SECONDS = 3.0
# ElastiCache takes some minutes for each of the two changes.
_PATIENCE_SECONDS = 1800.0
# Until it shows that it has begun. If it shows nothing for so long and is available, it has ended.
_SIGN_SECONDS = 120.0
_LETTERS = string.ascii_letters + string.digits  # ElastiCache refuses some of the others


@dataclass(frozen=True)
class _Cache:
    """What has a password: in words, its replication group, and the secret that says it."""

    what: str
    group: str
    secret: str


def _broker(operator: Operator) -> _Cache:
    """The replication group's name an environment of an earlier version does not say."""
    group = _base(operator, "broker-group") or names.broker(operator.environment)
    return _Cache("the broker", group, names.broker_secret(operator.environment))


def _results(operator: Operator) -> _Cache:
    """Raises `TaskfleetError` where results have no cache of their own."""
    environment = operator.environment
    if _base(operator, "results-secret-arn") in (None, results_of.NONE):
        raise TaskfleetError(
            f"{environment} has no cache for results: results=ResultsCache() in its settings makes one"
        )
    return _Cache("the results' cache", names.results_cache(environment), names.results_secret(environment))


def _base(operator: Operator, name: str) -> str | None:
    found = operator.client("ssm").get_parameters(Names=[parameters.base(operator.environment, name)])
    return next((str(one["Value"]) for one in found["Parameters"]), None)


@click.group()
def broker() -> None:
    """The primary broker."""


@click.group()
def results() -> None:
    """The cache for results."""


def _rotating(find: Callable[[Operator], _Cache], says: str) -> click.Command:
    """The command that rotates the password of what ``find`` names."""

    @click.command("rotate-password", help=says)
    @yes
    @click.option(
        "--follow-seconds",
        type=click.FloatRange(min=0),
        default=FOLLOW_SECONDS,
        show_default=True,
        help="How long processes have to read the new password until the old one is taken away.",
    )
    @click.option("--again", is_flag=True, help="Also if it was rotated within the last hour.")
    @asks
    def rotate_password(operator: Operator, yes: bool, follow_seconds: float, again: bool) -> None:
        rotation = _Rotation(operator, find(operator), follow_seconds)
        ago = rotation.seen().just_rotated_seconds
        if ago is not None and not again:
            step = (
                f"the password was changed {duration(ago)} ago: nothing to do; --again changes it once more"
            )
            say(operator, done=True, steps=[step])
            return
        if not yes:
            say(operator, done=False, steps=[rotation.says(step) for step in steps_from(rotation.next())])
            return
        done = rotation.run()
        say(operator, done=True, steps=done if operator.json else [rotation.ended])

    return rotate_password


_HOW = (
    "It takes ElastiCache some minutes twice. "
    "If it is interrupted, run it again: it goes on where it stopped."
)
broker.add_command(
    _rotating(
        _broker, f"Give the broker another password. No task is lost, and nothing is restarted.\n\n{_HOW}"
    )
)
results.add_command(
    _rotating(
        _results,
        f"Give the results' cache another password. No result is lost, and nothing is restarted.\n\n{_HOW}",
    )
)


class _Rotation:
    """One run of the command."""

    def __init__(self, operator: Operator, cache: _Cache, follow_seconds: float) -> None:
        self._secret_id, self._group = cache.secret, cache.group
        self.ended = f"{cache.what} has its new password alone"
        self._secrets, self._elasticache = operator.client("secretsmanager"), operator.client("elasticache")
        self._follow_seconds = follow_seconds
        self._quiet = operator.json

    def next(self) -> Step:
        """What is to be done."""
        return next_step(self.seen(), follow_seconds=self._follow_seconds)

    def run(self) -> list[str]:
        """Do it all; what was done."""
        done: list[str] = []
        while True:
            step = self.next()
            if not done or self.says(step) != done[-1]:
                done.append(self.says(step))
                if not self._quiet:
                    click.echo(done[-1])
            _DO[step](self)
            if step in (Step.SET, Step.FINISH):
                return done

    def says(self, step: Step) -> str:
        """In words."""
        return {
            Step.WAIT: f"{self._group} is waited for: ElastiCache works on it",
            Step.WRITE: f"a new password is written into {self._secret_id}, as {PENDING}: nobody uses it yet",
            Step.ROTATE: f"{self._group} takes the new password beside the old one (ROTATE): some minutes",
            Step.NOTE: f"it is noted that {self._group} takes both",
            Step.MOVE: f"the new password becomes the secret's current one ({CURRENT})",
            Step.FOLLOW: f"processes follow, within {self._follow_seconds:g} s",
            Step.SET: f"{self._group} takes the new password alone (SET): some minutes",
            Step.FINISH: f"the secret's label {ROTATED} is removed: the rotation is at its end",
        }[step]

    # -- looking ------------------------------------------------------------------------------------

    def seen(self) -> Seen:
        """How it stands."""
        secret = self._secrets.describe_secret(SecretId=self._secret_id)
        versions = self._secrets.list_secret_version_ids(SecretId=self._secret_id)["Versions"]
        found = self._elasticache.describe_replication_groups(ReplicationGroupId=self._group)
        group = found["ReplicationGroups"][0]
        changed, made = group.get("AuthTokenLastModifiedDate"), group.get("ReplicationGroupCreateTime")
        return Seen(
            labels=secret["VersionIdsToStages"],
            written_at={one["VersionId"]: one["CreatedDate"].timestamp() for one in versions},
            secret_changed_at=secret["LastChangedDate"].timestamp(),
            group_status=group["Status"],
            token_status=group.get("PendingModifiedValues", {}).get("AuthTokenStatus"),
            token_changed_at=None if changed is None else changed.timestamp(),
            group_made_at=None if made is None else made.timestamp(),
            now=time.time(),
        )

    def _value(self, label: str) -> dict[str, Any]:
        answer = self._secrets.get_secret_value(SecretId=self._secret_id, VersionStage=label)
        value: dict[str, Any] = json.loads(answer["SecretString"])
        return value

    # -- doing --------------------------------------------------------------------------------------

    def _wait(self) -> None:
        time.sleep(_LOOK_EVERY_SECONDS)

    def _write(self) -> None:
        if (rotated := self.seen().version(ROTATED)) is not None:
            self._label(ROTATED, of=rotated)  # what a group before this one was given
        password = "".join(secrets.choice(_LETTERS) for _ in range(BROKER_PASSWORD_LENGTH))
        self._secrets.put_secret_value(
            SecretId=self._secret_id,
            SecretString=json.dumps({**self._value(CURRENT), "password": password}),
            VersionStages=[PENDING],
        )

    def _rotate(self) -> None:
        self._modify(PENDING, "ROTATE")
        self._note()

    def _note(self) -> None:
        self._label(ROTATED, to=self.seen().pending)

    def _move(self) -> None:
        seen = self.seen()
        self._label(CURRENT, to=seen.pending, of=seen.current)

    def _follow(self) -> None:
        left = self.seen().follow_left(self._follow_seconds)
        time.sleep(min(max(0.0, left), _LOOK_EVERY_SECONDS))

    def _set(self) -> None:
        seen = self.seen()
        if PENDING in seen.labels[seen.current]:
            self._label(PENDING, of=seen.current)
        self._modify(CURRENT, "SET")
        self._finish()

    def _finish(self) -> None:
        self._label(ROTATED, of=self.seen().current)

    def _label(self, label: str, *, to: str | None = None, of: str | None = None) -> None:
        moved = {"MoveToVersionId": to, "RemoveFromVersionId": of}
        self._secrets.update_secret_version_stage(
            SecretId=self._secret_id,
            VersionStage=label,
            **{name: version for name, version in moved.items() if version is not None},
        )

    def _modify(self, label: str, strategy: str) -> None:
        """Have the group take the password of the version with this label, and wait until it does."""
        before = self.seen().token_changed_at
        self._elasticache.modify_replication_group(
            ReplicationGroupId=self._group,
            AuthToken=self._value(label)["password"],
            AuthTokenUpdateStrategy=strategy,
            ApplyImmediately=True,
        )
        asked_at, began = time.monotonic(), False
        while True:
            seen, waited = self.seen(), time.monotonic() - asked_at
            began = began or seen.working or seen.token_changed_at != before or waited > _SIGN_SECONDS
            if began and not seen.working:
                return
            if waited > _PATIENCE_SECONDS:
                raise CannotRotate(
                    f"{self._group} is still {seen.group_status} after {duration(_PATIENCE_SECONDS)}: "
                    "nothing is lost. Look at its events in ElastiCache, then run this again"
                )
            time.sleep(_LOOK_EVERY_SECONDS)


_DO: dict[Step, Callable[[_Rotation], None]] = {
    Step.WAIT: _Rotation._wait,
    Step.WRITE: _Rotation._write,
    Step.ROTATE: _Rotation._rotate,
    Step.NOTE: _Rotation._note,
    Step.MOVE: _Rotation._move,
    Step.FOLLOW: _Rotation._follow,
    Step.SET: _Rotation._set,
    Step.FINISH: _Rotation._finish,
}
