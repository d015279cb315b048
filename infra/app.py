"""From settings to a CDK app. What a command line may choose arrives as context (``-c name=value``).

- ``env=dev`` (or ``env=dev,staging``): only these environments; all of them unless given
- ``release=2026-11-20``: the release id; unless given, one made from the source, so that the same
  source has the same id
- ``live=true``: the local fleet runs the working tree itself, and reloads it when a file changes
- ``unprotected=network,broker``: these long-lived stacks without protection, for as long as they are made
  for the first time: a create that fails must be able to take back what it made (`infra.deploy` passes it)
- ``fleet-beat=kept``: the fleet's stack has a beat for current releases that have none of their own: those of
  the version before (`infra.deploy` passes it)
- ``breaks=shop.charge,shop.refund``: tasks whose signatures may break what the build before takes, where
  releases are rolled: nothing sends them as they were (``make deploy BREAKS=…``)
- ``placeholder-account=allowed``: templates may be looked at (``make synth``) before there is an
  account, and before it is said who is paged; nothing that deploys passes it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Annotations, App
from taskfleet.contract import names
from taskfleet.errors import SettingsError

from infra import rules
from infra.checks import guard, iam_sizes, nag
from infra.chosen import ALL
from infra.release_id import build_id, release_id
from infra.settings import Settings
from infra.stage import EnvironmentStage


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What the command line chose."""

    environments: tuple[str, ...] = ()  # empty: all
    release: str | None = None
    live: bool = False
    unprotected: tuple[str, ...] = ()
    keeps_beat: bool = False
    breaks: tuple[str, ...] = ()
    placeholder_account_allowed: bool = False

    @classmethod
    def from_context(cls, app: App) -> Choices:
        """Read them. Raises ``SettingsError`` for a value that is none of the allowed ones."""

        def get(name: str) -> str | None:
            value = app.node.try_get_context(name)
            return None if value is None else str(value).strip()

        return cls(
            environments=_several(get("env")),
            release=get("release") or None,
            live=_one_of("live", get("live"), no="false", yes="true"),
            unprotected=_unprotected(get("unprotected")),
            keeps_beat=_one_of("fleet-beat", get("fleet-beat"), no="none", yes="kept"),
            breaks=_several(get("breaks")),
            placeholder_account_allowed=_one_of(
                "placeholder-account", get("placeholder-account"), no="refused", yes="allowed"
            ),
        )


def build(app: App, *, settings: Sequence[Settings] = ALL) -> App:
    """Add one stage per chosen environment to ``app`` and return it. No AWS call, no credentials.

    Raises ``SettingsError``: an unknown environment, an impossible release id, or an environment that
    was asked for by name while its account is still the placeholder, or while it pages nobody.
    """
    choices = Choices.from_context(app)
    for one in _chosen(choices, settings):
        stage = EnvironmentStage(
            app,
            settings=one,
            release=_release_id(choices, one),
            live=choices.live and one.on_this_machine,
            unprotected=choices.unprotected,
            keeps_beat=choices.keeps_beat,
            build=build_id(one),
            accepted_breaks=choices.breaks,
        )
        _refuse_unready(stage, one, choices)
        for number, remark in enumerate([*rules.remarks(one), *rules.overlaps(one, settings)]):
            Annotations.of(stage.stacks[-1]).add_info_v2(f"taskfleet:remark{number}", remark)
    nag.add_to(app)
    guard.add_to(app)
    iam_sizes.add_to(app)
    return app


def _chosen(choices: Choices, settings: Sequence[Settings]) -> tuple[Settings, ...]:
    known = {one.name: one for one in settings}
    for name in choices.environments:
        if name not in known:
            raise SettingsError(
                f"there is no environment {name!r}: one of {', '.join(known)} "
                "(-c env=…; they are defined in infra/environments.py)"
            )
    return tuple(known[name] for name in choices.environments or known)


def _release_id(choices: Choices, settings: Settings) -> str:
    try:
        return release_id(settings, choices.release)
    except names.InvalidName as error:
        raise SettingsError(f"{error} (-c release=…)") from error


def _refuse_unready(stage: EnvironmentStage, settings: Settings, choices: Choices) -> None:
    """Nobody asked for this environment: only deploying it is an error. Asked for by name: synth is, too.

    The CDK's command line stops at an error of a stack that it is about to deploy, and at no other:
    so ``cdk deploy "local/*"`` works in a fresh clone, and ``cdk deploy "prod/*"`` does not.
    """
    asked = (rules.placeholder_account(settings), rules.unpaged(settings))
    found = [problem for problem in asked if problem]
    only_looked_at = choices.placeholder_account_allowed
    if found and choices.environments and not only_looked_at:
        raise SettingsError("\n- ".join(found))
    for stack in stage.stacks:
        for number, problem in enumerate(found):
            if only_looked_at:
                Annotations.of(stack).add_warning_v2(f"taskfleet:unready{number}", problem)
            else:
                Annotations.of(stack).add_error(f"SettingsError: {problem}")


def _several(value: str | None) -> tuple[str, ...]:
    return tuple((value or "").replace(",", " ").split())


def _unprotected(value: str | None) -> tuple[str, ...]:
    for part in _several(value):
        if part not in names.LONG_LIVED:
            raise SettingsError(f"-c unprotected={value}: {part!r} is none of {', '.join(names.LONG_LIVED)}")
    return _several(value)


def _one_of(name: str, value: str | None, *, no: str, yes: str) -> bool:
    if value is None or value.lower() == no:
        return False
    if value.lower() == yes:
        return True
    raise SettingsError(f"-c {name}={value} is not understood: {yes} or {no}")
