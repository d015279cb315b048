"""One question to IAM, answered by two implementations: moto's evaluator and MiniStack's.

moto's has neither the condition operators that we use nor principals (moto/iam/access_control.py), so
statements whose condition or principal does not hold are left out before it is asked; MiniStack's has both.
Where the two disagree, one of them is wrong about us: that is an error here.
"""

from __future__ import annotations

import fnmatch
import json
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ministack.core import iam_evaluator as ministack
from moto.iam.access_control import IAMPolicy, PermissionResult

from infra.checks.access.policies import Policies, Statement
from local.emulator.calls import Asked

# What its own policy does not give to the account, IAM can give to nobody (KMS guide, "Key policies"; IAM
# user guide, "How IAM roles differ from resource-based policies").
_NEEDS_BOTH = ("kms:", "sts:AssumeRole")


class Disagreement(Exception):
    """The two implementations answer differently."""


def allowed(policies: Policies, caller: str, question: Asked, *, account: str, region: str) -> bool:
    """Whether ``caller``, a role of the account, gets what it asks for. Raises `Disagreement`."""
    context = {"aws:SecureTransport": "true", **question.context}
    own = [one for one in policies.identity[caller] if _holds(one.get("Condition", {}), context)]
    attached = [
        one
        for one in policies.resource.get(question.resource, ())
        if _holds(one.get("Condition", {}), context) and _means(one["Principal"], account)
    ]
    # What hangs on a resource is about that resource, whatever it writes there.
    here = [{**one, "Resource": question.resource} for one in attached]
    answer = _combined(_by_moto(own, question), _by_moto(here, question), question)
    second = _combined(
        _by_ministack(own, question, account, region),
        _by_ministack(here, question, account, region),
        question,
    )
    if answer is not second:
        raise Disagreement(f"{caller} {question}: moto says {answer}, MiniStack {second}")
    return answer


def grants(statement: Statement, question: Asked) -> bool:
    """Whether this one statement allows it."""
    holds = _holds(statement.get("Condition", {}), {"aws:SecureTransport": "true", **question.context})
    return holds and _by_moto([statement], question) == "allow"


def _combined(own: str, attached: str, question: Asked) -> bool:
    """IAM user guide, "Policy evaluation logic", within one account."""
    if "deny" in (own, attached):
        return False
    if question.action.startswith(_NEEDS_BOTH):
        return own == attached == "allow"
    return "allow" in (own, attached)


def _by_moto(statements: Sequence[Statement], question: Asked) -> str:
    bare = [_bare(one) for one in statements]
    policy = IAMPolicy(json.dumps({"Version": "2012-10-17", "Statement": bare}))
    answer = policy.is_action_permitted(question.action, question.resource)
    return {PermissionResult.PERMITTED: "allow", PermissionResult.DENIED: "deny"}.get(answer, "nothing")


def _by_ministack(statements: Sequence[Statement], question: Asked, account: str, region: str) -> str:
    context = ministack.EvalContext(
        principal_arn=f"arn:aws:sts::{account}:assumed-role/role/session",
        principal_type="AssumedRole",
        principal_account=account,
        action=question.action,
        resource_arn=question.resource,
        region=region,
        secure_transport=True,
        service_context={name.lower(): value for name, value in question.context.items()},
    )
    whole = [{name: value for name, value in one.items() if name != "Principal"} for one in statements]
    document = ministack.parse_policy_document({"Version": "2012-10-17", "Statement": whole})
    decision = ministack.evaluate(context, [document]).decision
    return {"Allow": "allow", "Deny": "deny"}.get(decision, "nothing")


def _bare(statement: Statement) -> Statement:
    return {name: value for name, value in statement.items() if name not in ("Condition", "Principal")}


def _means(principal: Any, account: str) -> bool:
    if principal == "*":
        return True
    named = principal.get("AWS", [])  # of a service, none: no caller here is one
    given = [named] if isinstance(named, str) else named
    return any(one in ("*", account) or one.startswith(f"arn:aws:iam::{account}:") for one in given)


def _holds(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, Any]) -> bool:
    """All of a statement's conditions. Raises ``KeyError`` for an operator that no policy here had yet."""
    return all(
        _applies(named, _listed(wanted), _listed(context.get(key)))
        for named, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _applies(named: str, wanted: list[str], given: list[str]) -> bool:
    quantifier, _, name = named.rpartition(":")
    if name == "Null":
        return wanted == ["false" if given else "true"]
    if name.startswith("StringNot"):
        return not _applies(named.replace("Not", ""), wanted, given)
    matches = _OPERATORS[name]
    held = [any(matches(one, pattern) for pattern in wanted) for one in given]
    return all(held) if quantifier == "ForAllValues" else any(held)


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": operator.eq,
    "StringLike": fnmatch.fnmatchcase,
    "ArnLike": fnmatch.fnmatchcase,
    "ArnEquals": fnmatch.fnmatchcase,
    "Bool": operator.eq,
}


def _listed(value: Any) -> list[str]:
    if value is None:
        return []
    return (
        [str(one) for one in value] if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    )
