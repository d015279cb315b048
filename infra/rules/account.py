"""The AWS account, region and application of an environment, and whom it tells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from taskfleet.contract import names

from infra.rules.problem import Problem

if TYPE_CHECKING:
    from infra.settings import Settings


# Where the emulator's account is (`local.account`).
EMULATED_ACCOUNT = "000000000000"
EMULATED_REGION = "us-east-1"


# botocore's partitions.json: the `regionRegex` of each partition but aws.
OTHER_PARTITIONS = ("cn-", "us-gov-", "us-iso-", "us-isob-", "us-isof-", "eu-isoe-", "eusc-")

PLACEHOLDER = "111111111111"  # what `infra.environments` has in a fresh clone


def placeholder(settings: Settings) -> str | None:
    """Why the environment can't be deployed while its account is the placeholder, or None.

    Not one of the rules: templates may be looked at before there is an account.
    """
    if settings.account != PLACEHOLDER or settings.on_this_machine:
        return None
    return str(
        Problem(
            setting=f"environment {settings.name}: account",
            value=PLACEHOLDER,
            rule="this is the placeholder, which belongs to nobody here",
            fix="put your own 12-digit AWS account id into infra/environments.py",
        )
    )


def pages_nobody(settings: Settings) -> bool:
    """Whether its alarms reach nobody."""
    return settings.alarm_email is None and not settings.alarms_elsewhere and not settings.on_this_machine


def unpaged(settings: Settings) -> str | None:
    """Why the environment can't be deployed while nobody hears of its alarms, or None.

    One that keeps data has something to lose. Not one of the rules either: other environments, and `make up`,
    go on while this one is not ready.
    """
    if not (settings.keep_data and pages_nobody(settings)):
        return None
    return str(
        Problem(
            setting=f"environment {settings.name}: alarm_email",
            value=None,
            rule="it keeps data (keep_data), and nobody is notified when its alarms go off",
            fix="alarm_email='oncall@example.com' in infra/environments.py, or alarms_elsewhere=True if "
            f"you subscribe what pages you to the topic {names.alarm_topic(settings.name)} (docs/alarms.md)",
        )
    )


def remarks(settings: Settings) -> Iterator[str]:
    """What is allowed, and may still be forgotten."""
    if pages_nobody(settings):
        yield (
            f"nobody is paged: alarms go to the topic {names.alarm_topic(settings.name)}, which nothing of "
            f"{settings.name} subscribes to. Set alarm_email, or subscribe what pages you (alarms_elsewhere)."
        )
    yield from _shells(settings)


def _shells(settings: Settings) -> Iterator[str]:
    if settings.keep_data and settings.allows_exec:
        yield (
            "ecs_exec is on where data is kept: who may call ecs:ExecuteCommand on the cluster gets a shell "
            "with the role and the secrets of the container. It is off unless it is set."
        )


def _account(settings: Settings) -> Iterator[Problem]:
    if not re.fullmatch(r"\d{12}", settings.account):
        yield Problem(
            setting="account",
            value=settings.account,
            rule="an AWS account id is 12 digits",
            fix="copy it from `aws sts get-caller-identity`",
        )


def _emulated(settings: Settings) -> Iterator[Problem]:
    for name, value in (("account", EMULATED_ACCOUNT), ("region", EMULATED_REGION)):
        if settings.on_this_machine and getattr(settings, name) != value:
            yield Problem(
                setting=name,
                value=getattr(settings, name),
                rule=f"an environment on this machine is in the emulated account, whose {name} is {value}",
                fix=f"{value}, or leave out on_this_machine",
            )


def _region(settings: Settings) -> Iterator[Problem]:
    if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", settings.region):
        yield Problem(
            setting="region",
            value=settings.region,
            rule="a region is named like eu-west-1",
            fix="give the region itself, not one of its zones",
        )
    elif settings.region.startswith(OTHER_PARTITIONS):
        yield Problem(
            setting="region",
            value=settings.region,
            rule="it is in another partition of AWS, with ARNs, domains and accounts of its own (China, "
            "GovCloud, a sovereign cloud); the fleet's policies and names are those of the partition aws",
            fix="a region of the partition aws, as eu-west-1",
        )


def _qualifier(settings: Settings) -> Iterator[Problem]:
    if not re.fullmatch(r"[a-z0-9]{1,10}", settings.bootstrap_qualifier):
        yield Problem(
            setting="bootstrap_qualifier",
            value=settings.bootstrap_qualifier,
            rule="at most ten of a-z and 0-9: names of buckets and roles have it in them",
            fix="what `cdk bootstrap --qualifier` was given, or leave it out",
        )


def _owner(settings: Settings) -> Iterator[Problem]:
    if settings.owner and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,62}", settings.owner):
        yield Problem(
            setting="owner",
            value=settings.owner,
            rule="it is a tag's value: at most 63 letters, digits, and _ . @ -, a letter or digit first",
            fix="your team's name, as web-shop, or leave it out",
        )


def _app(settings: Settings) -> Iterator[Problem]:
    if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", settings.app):
        yield Problem(
            setting="app",
            value=settings.app,
            rule="the Celery application is given as module:attribute",
            fix="write, for example, shop.app:app",
        )


def _alarm_email(settings: Settings) -> Iterator[Problem]:
    if settings.alarm_email is not None and not re.fullmatch(
        r"[^@\s]+@[^@\s]+\.[^@\s]+", settings.alarm_email
    ):
        yield Problem(
            setting="alarm_email",
            value=settings.alarm_email,
            rule="alarms are sent to an address of the form name@domain",
            fix="correct it, or leave it out and subscribe to the topic yourself",
        )


def _runbook_url(settings: Settings) -> Iterator[Problem]:
    url = settings.runbook_url
    if url is not None and not re.fullmatch(r"https://[^\s?#]+[^\s?#/]", url):
        yield Problem(
            setting="runbook_url",
            value=url,
            rule="alarms link their page below it: https://, and no slash at its end",
            fix="give the folder's address, as https://github.com/you/fleet/blob/main/runbooks",
        )


RULES = (_account, _emulated, _region, _qualifier, _owner, _app, _alarm_email, _runbook_url)
