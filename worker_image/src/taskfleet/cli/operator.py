"""Who asks, about which environment, and the AWS clients to answer with."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import click

from taskfleet import aws
from taskfleet.contract import environment as env
from taskfleet.contract import names
from taskfleet.contract.metrics import LOOK_SECONDS
from taskfleet.controller.fleet_snapshot import FleetSnapshot
from taskfleet.errors import TaskfleetError
from taskfleet.etas.store import Etas
from taskfleet.releases.leases import Leases
from taskfleet.releases.store import Store

P = ParamSpec("P")
R = TypeVar("R")

# The alarm `controller-silent` fires after four minutes; who asks `fleet` is told sooner.
SILENT_AFTER_SECONDS = 6 * LOOK_SECONDS


@dataclass(frozen=True)
class LastSnapshot:
    """The controller's last look, and its age in seconds."""

    look: FleetSnapshot
    age_seconds: float

    @property
    def known(self) -> FleetSnapshot:
        """The look, without its figures if they are too old to be true."""
        return self.look.forgotten() if self.silent else self.look

    @property
    def silent(self) -> bool:
        """Whether it is too old to act on."""
        return self.age_seconds > SILENT_AFTER_SECONDS


@dataclass(frozen=True)
class Operator:
    """One run of the command. ``json``: print for scripts."""

    environment: str
    json: bool = False

    def client(self, service: str) -> Any:
        """An AWS client with bounded time-outs."""
        return aws.client(service)

    @property
    def store(self) -> Store:
        """The environment's state table."""
        return Store(self.client("dynamodb"), self.environment)

    @property
    def leases(self) -> Leases:
        """The environment's producers."""
        return Leases(lambda: self.client("dynamodb"), self.environment)

    @property
    def etas(self) -> Etas:
        """The environment's tasks that wait for a far ETA."""
        return Etas(lambda: self.client("dynamodb"), self.environment)

    def last_look(self) -> LastSnapshot:
        """Raises `TaskfleetError` when there has never been a look that this version can read."""
        kept = self.store.read_look()
        if kept is None:
            raise TaskfleetError(
                f"the controller of {self.environment} has not looked yet: wait a minute after the first "
                "deploy, then ask `fleet doctor`"
            )
        try:
            look = FleetSnapshot.from_json(kept[0])
        except ValueError as error:
            raise TaskfleetError(f"the last look can't be read: {error}; deploy the fleet's stack") from error
        return LastSnapshot(look, max(0.0, time.time() - kept[1]))

    def actor(self) -> str:
        """Who this is, for the history: the end of the caller's ARN."""
        arn: str = self.client("sts").get_caller_identity()["Arn"]
        return arn.rsplit(":", 1)[-1]


def asks(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command ``--environment`` and ``--json``, and an `Operator` as its first argument."""

    @click.option(
        "--environment",
        "-e",
        envvar=env.ENVIRONMENT.name,
        show_envvar=True,
        help="local, dev, staging, prod, …",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print JSON; null is what is not known.")
    @click.pass_context
    @functools.wraps(command)
    def wrapped(context: click.Context, /, environment: str | None, as_json: bool, **rest: object) -> R:
        given: dict[str, Any] = context.obj or {}
        name = environment if _given_here(context) else given.get("environment") or environment
        if not name:
            raise click.UsageError(
                f"which environment? Give --environment, or set {env.ENVIRONMENT.name}", context
            )
        try:
            names.check("environment", name)
        except names.InvalidName as error:
            raise click.UsageError(str(error), context) from error
        return command(Operator(name, as_json or bool(given.get("json"))), **rest)

    return wrapped


def _given_here(context: click.Context) -> bool:
    return context.get_parameter_source("environment") is click.core.ParameterSource.COMMANDLINE
