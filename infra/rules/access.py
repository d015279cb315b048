"""What a pool's tasks may do in AWS beside the fleet's own work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from infra.rules.problem import Problem

if TYPE_CHECKING:
    from infra.settings import Allow, Settings

_ACTION = re.compile(r"[a-z0-9-]+:[A-Za-z0-9]+")
# Without `?`, IAM's wildcard of one character: cdk-nag asks for no reason of it, so no ledger would have it.
_RESOURCE = re.compile(r"arn:aws[a-z-]*:[a-z0-9-]+:[^:\s?]*:[^:\s?]*:[^\s?]+")
_POLICY = re.compile(r"arn:aws[a-z-]*:iam::(aws|\d{12}):policy/\S+")
_MOST_MANAGED = 10
_TOO_MUCH = ("AdministratorAccess", "PowerUserAccess", "IAMFullAccess")


def _statements(settings: Settings) -> Iterator[Problem]:
    for pool in settings.pools:
        for number, allow in enumerate(pool.allow):
            yield from _statement(f"pool {pool.name}: allow[{number}]", allow)


def _statement(where: str, allow: Allow) -> Iterator[Problem]:
    if not allow.actions or not allow.resources:
        yield Problem(
            setting=where,
            value=allow,
            rule="a statement names actions and resources",
            fix="name both, or drop it",
        )
    for action in allow.actions:
        if not _ACTION.fullmatch(action):
            yield Problem(
                setting=f"{where}.actions",
                value=action,
                rule="each action by its name, service:Action, without a wildcard",
                fix="name what the tasks call, for instance s3:GetObject",
            )
    for resource in allow.resources:
        if not _RESOURCE.fullmatch(resource):
            yield Problem(
                setting=f"{where}.resources",
                value=resource,
                rule="a resource is an ARN, without space or `?`; `*` alone is everything in the account",
                fix="arn:aws:s3:::BUCKET/PREFIX/* for objects, for instance; where AWS knows no resource for "
                "the action (textract:DetectDocumentText), a managed policy of yours in managed_policies",
            )
        elif "*" in resource and len((allow.reason or "").split()) < 3:
            yield Problem(
                setting=f"{where}.reason",
                value=allow.reason,
                rule=f"a wildcard ({resource}) needs its reason, in a sentence: it ends up in the ledger",
                fix="say why not one resource",
            )


def _managed(settings: Settings) -> Iterator[Problem]:
    for pool in settings.pools:
        if len(pool.managed_policies) > _MOST_MANAGED:
            yield Problem(
                setting=f"pool {pool.name}: managed_policies",
                value=len(pool.managed_policies),
                rule=f"IAM attaches {_MOST_MANAGED} managed policies to a role (quota L-0DA4ABF3)",
                fix="write one managed policy that allows what several of them do, and name that",
            )
        for arn in pool.managed_policies:
            if not _POLICY.fullmatch(arn) or arn.rpartition("/")[2] in _TOO_MUCH:
                yield Problem(
                    setting=f"pool {pool.name}: managed_policies",
                    value=arn,
                    rule="the ARN of a managed policy, and none that allows nearly everything",
                    fix="arn:aws:iam::ACCOUNT:policy/NAME",
                )


RULES = (_statements, _managed)
