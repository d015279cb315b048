"""Environment variables and secrets that a user gives to the tasks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from taskfleet.contract import environment
from taskfleet.settings import VARIABLES

from infra.rules.problem import Problem

if TYPE_CHECKING:
    from infra.settings import Settings

# One that the stacks don't set themselves: a user may.
_FREE = frozenset({environment.LOG_LEVEL.name, environment.PAYLOAD_WARNING_BYTES.name})
_OWN = VARIABLES - _FREE
# Amazon ECS developer guide, "Amazon ECS service quotas": task definition size, 64 KB; not adjustable.
DEFINITION_BYTES = 65_536
# A worker's own variables, command and names, all queues in them (a test holds the templates to it).
OURS_BYTES = 16_384
_SCHEME = re.compile(r"[a-z][a-z0-9+-]*:")
_PREFIXES = {
    "TASKFLEET_": "belongs to the blueprint",
    "AWS_": "is set by ECS",
    "ECS_": "is set by ECS",
    "CELERY_": "overrides Celery's configuration without a word",
}


def _names(settings: Settings) -> Iterator[Problem]:
    for where, name in _all(settings):
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            yield Problem(
                setting=where,
                value=name,
                rule="a variable's name is letters, digits and underscores, not starting with a digit",
                fix="rename it",
            )


def _reserved(settings: Settings) -> Iterator[Problem]:
    for where, name in _all(settings):
        if name == environment.RESULT_BACKEND.name and settings.results is None:
            continue  # the team's own: the environment has none
        reason = _reason(name)
        if reason is not None:
            yield Problem(setting=where, value=name, rule=f"this name {reason}", fix="rename it, or drop it")


def _reason(name: str) -> str | None:
    if name in _OWN:
        return "is set from a setting of its own"
    if name in _FREE:
        return None
    return next((reason for prefix, reason in _PREFIXES.items() if name.startswith(prefix)), None)


def _once(settings: Settings) -> Iterator[Problem]:
    for name in sorted(settings.variables.keys() & settings.secrets.keys()):
        yield Problem(
            setting="variables and secrets",
            value=name,
            rule="a name is either a plain variable or a secret",
            fix="drop one of the two",
        )


def _all(settings: Settings) -> Iterator[tuple[str, str]]:
    yield from (("variables", name) for name in settings.variables)
    yield from (("secrets", name) for name in settings.secrets)


def _result_backend(settings: Settings) -> Iterator[Problem]:
    url = settings.variables.get(environment.RESULT_BACKEND.name)
    if url is not None and (not _SCHEME.match(url) or url.startswith("rpc:")):
        yield Problem(
            setting="variables",
            value=url,
            rule="a result backend is a URL, and not rpc://, which answers in a queue of one broker",
            fix="results=Results() for a DynamoDB table, results=ResultsCache() for an ElastiCache group, or "
            "the URL of a database or cache of your own",
        )


def _size(settings: Settings) -> Iterator[Problem]:
    """By what they take of a task definition, as JSON."""
    plain = [{"name": name, "value": value} for name, value in settings.variables.items()]
    hidden = [
        {"name": name, "valueFrom": f"{secret.arn}:{secret.field}::"}
        for name, secret in settings.secret_variables.items()
    ]
    found = len(json.dumps([*plain, *hidden], ensure_ascii=False, separators=(",", ":")).encode())
    if found > DEFINITION_BYTES - OURS_BYTES:
        yield Problem(
            setting="variables and secrets",
            value=f"{found} bytes",
            rule=f"a task definition of ECS has {DEFINITION_BYTES} bytes at most, all variables of its "
            f"container included, and {OURS_BYTES} of them are kept for the fleet's own",
            fix="put long values into a file of the image, or an object in S3 that your code reads",
        )


RULES = (_names, _reserved, _once, _result_backend, _size)
