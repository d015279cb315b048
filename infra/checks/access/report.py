"""The questions that an environment's callers bring, and those that its policies deny."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from infra.checks.access import bootstrap, implied, policies
from infra.checks.access.authorize import allowed
from infra.checks.access.calls import Call
from infra.checks.access.policies import Policies, Statement
from infra.checks.access.resolve import Account
from infra.settings import Settings
from local.emulator.calls import Asked

# IAM allows it to everybody, whatever a policy says (STS API reference, GetCallerIdentity).
FREE = frozenset({"sts:GetCallerIdentity"})


def questions(
    calls: Iterable[Call], settings: Settings, account: Account, *, release: str, found: Policies
) -> Iterator[tuple[str, Asked]]:
    """(who, question): the calls, and what the services that answer ask of KMS for them.

    What a worker asks for, one of each pool with a role of its own asks for, too.
    """
    workers = [who for who in found.identity if who.partition(" ")[0] == policies.WORKER]
    for call in sorted(calls):
        if call.caller in found.identity and call.action not in FREE:
            callers = workers if call.caller == policies.WORKER else [call.caller]
            for question in call.questions(settings, release):
                for caller in callers:
                    yield caller, question
                    yield from ((caller, more) for more in implied.of_key(question, account))
                    yield from ((caller, more) for more in implied.of_roles(question, account))


def at_start(account: Account, settings: Settings) -> Iterator[tuple[str, Asked]]:
    """(whose execution role, question): what ECS does to start the containers."""
    for role, question in implied.at_start(account, settings.secret_variables.values()):
        yield next(name for name, (_, begins) in policies.ROLES.items() if role[:-8] == begins), question


def denied(found: Policies, account: Account, asks: Iterable[tuple[str, Asked]]) -> list[str]:
    """The statements that are missing, each for whom."""
    place = {"account": account.account, "region": account.region}
    return sorted(
        {
            f'{who} needs {{"Effect": "Allow", "Action": "{one.action}", "Resource": "{one.resource}"}} '
            f"with {dict(one.context)}"
            for who, one in asks
            if not allowed(found, who, one, **place)
        }
    )


def allows(found: Policies) -> Iterator[tuple[str, Statement, str]]:
    """(who, statement, action) of all that is allowed by us: the bootstrap's policies are the CDK's."""
    for who, statements in found.identity.items():
        for statement in () if who in bootstrap.ROLES else statements:
            if statement["Effect"] == "Allow":
                actions = statement["Action"]
                for action in [actions] if isinstance(actions, str) else actions:
                    yield who, statement, action
