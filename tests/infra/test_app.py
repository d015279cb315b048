"""What a command line may choose, and what it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import App
from taskfleet.contract import names
from taskfleet.errors import SettingsError

from infra.app import Choices, build
from infra.templates import templates
from tests.infra.synthesis import FLAGS
from tests.support import reference as environments

MINE = replace(environments.DEV, name="mine", account="123456789012")


def app(**context: object) -> App:
    """An app with what ``-c name=value`` would give it, dashes written as underscores."""
    given = {name.replace("_", "-"): value for name, value in context.items()}
    return App(context={**FLAGS, **given}, analytics_reporting=False)


def stages(built: App) -> list[str]:
    return [child.node.id for child in built.node.children if child.node.id != "Tree"]


def test_every_environment_is_a_stage_unless_some_are_chosen() -> None:
    assert stages(build(app())) == ["local", "dev", "staging", "prod"]
    assert stages(build(app(env="local"))) == ["local"]
    assert stages(build(app(env="local, prod", placeholder_account="allowed"))) == ["local", "prod"]


def test_an_unknown_environment_is_refused_with_those_there_are() -> None:
    with pytest.raises(SettingsError, match=r"no environment 'pord': one of local, dev, staging, prod"):
        build(app(env="pord"))


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_an_environment_asked_for_by_name_needs_an_account(name: str) -> None:
    with pytest.raises(SettingsError, match=rf"{name}: account = '111111111111'.*Fix: put your own 12-digit"):
        build(app(env=name))


def test_a_placeholder_elsewhere_stops_nobody_but_is_an_error_where_it_would_be_deployed() -> None:
    """The command line stops at an error of a stack that it is about to deploy, and at no other."""
    built = build(app(), settings=[MINE, environments.PROD])

    assert errors(built, "taskfleet-mine-network") == []
    for stack in (names.stack("prod", part) for part in (*names.LONG_LIVED, "release-")):
        error, _ = errors(built, stack)  # and that it pages nobody
        assert error.startswith("SettingsError: environment prod: account = '111111111111'")


def test_templates_may_be_looked_at_before_there_is_an_account() -> None:
    built = build(app(env="prod", placeholder_account="allowed"))

    assert errors(built, "taskfleet-prod-network") == []


@pytest.mark.parametrize(
    ("context", "says"),
    [
        ({"placeholder_account": "yes"}, "allowed or refused"),
        ({"live": "on"}, "true or false"),
    ],
)
def test_a_misspelt_choice_is_refused(context: Mapping[str, object], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        Choices.from_context(app(**context))


def test_the_release_is_the_one_that_was_named() -> None:
    built = build(app(env="local", release="2026-11-20"))

    assert [stack.stack_name for stack in stacks(built)][-1] == "taskfleet-local-release-2026-11-20"


@pytest.mark.parametrize("release", ["v1.2", "Release", "none", "x" * 25])
def test_a_release_that_can_not_be_a_name_is_refused(release: str) -> None:
    with pytest.raises(SettingsError, match=r"can't be the name of a release.*-c release="):
        build(app(env="local", release=release))


def test_environments_on_this_machine_need_no_account() -> None:
    assert errors(build(app(env="local")), "taskfleet-local-network") == []


def test_who_puts_his_account_in_place_of_the_placeholder_is_not_refused() -> None:
    """Wherever it is written: the constant of `infra.environments` is not what is compared with."""
    source = Path(environments.__file__).read_text()
    namespace: dict[str, object] = {"__name__": "mine"}

    exec(compile(source.replace("111111111111", "123456789012"), "mine", "exec"), namespace)  # noqa: S102

    assert errors(build(app(env="dev"), settings=namespace["ALL"]), "taskfleet-dev-network") == []  # type: ignore[arg-type]


def test_who_keeps_data_and_pages_nobody_is_refused_with_what_to_set() -> None:
    kept = replace(MINE, keep_data=True)

    with pytest.raises(
        SettingsError, match=r"mine: alarm_email = None: it keeps data.*alarms_elsewhere=True"
    ):
        build(app(env="mine"), settings=[kept])
    # As for a placeholder account: nobody asked for it, so that only deploying it is an error.
    (error,) = errors(build(app(), settings=[kept]), "taskfleet-mine-network")
    assert "alarm_email='oncall@example.com'" in error
    for ready in (
        MINE,
        replace(kept, alarm_email="oncall@example.com"),
        replace(kept, alarms_elsewhere=True),
    ):
        assert errors(build(app(env="mine"), settings=[ready]), "taskfleet-mine-network") == []


def test_the_placeholders_templates_say_that_nobody_is_paged_and_may_be_looked_at() -> None:
    built = build(app(env="prod", placeholder_account="allowed"))

    found = annotations(built, "taskfleet-prod-network", "warning")
    assert [text.partition(" = ")[0] for text in found] == [
        "environment prod: account",
        "environment prod: alarm_email",
    ]


def test_templates_of_who_pages_nobody_yet_may_be_looked_at_too() -> None:
    """As `make cost` and preflight do."""
    assert len(templates(replace(MINE, keep_data=True))) == 4


def test_it_is_said_where_nobody_is_paged() -> None:
    told = replace(MINE, alarm_email="oncall@example.com")

    for settings, said in ((MINE, True), (told, False)):
        found = annotations(build(app(), settings=[settings]), "taskfleet-mine-release-", "info")
        assert any("nobody is paged" in text for text in found) is said


def test_unenforced_limits_are_said_at_the_release() -> None:
    built = build(app(env="local"))

    assert any(
        "pool warehouse runs threads" in text
        for text in annotations(built, "taskfleet-local-release-", "info")
    )


def stacks(built: App) -> list[cdk.Stack]:
    return [one for one in built.node.find_all() if isinstance(one, cdk.Stack)]


def errors(built: App, stack: str) -> list[str]:
    return annotations(built, stack, "error")


def annotations(built: App, stack_prefix: str, level: str) -> list[str]:
    """What is annotated on the one stack whose name starts so."""
    (stack,) = [one for one in stacks(built) if one.stack_name.startswith(stack_prefix)]
    return [str(entry.data) for entry in stack.node.metadata if entry.type == f"aws:cdk:{level}"]
