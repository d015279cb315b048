"""What a pool's tasks may do in AWS beside the fleet's own work: statements, managed policies, rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from taskfleet.errors import SettingsError

from infra.settings import Allow, Settings
from tests.infra.synthesis import RELEASE, Synthesis, of_type, task
from tests.infra.variants import MIXED
from tests.support import reference as environments

OBJECTS = ("arn:aws:s3:::shop/*",)


def role_of(mixed: Synthesis, service: str) -> str:
    return str(task(mixed, f"{service}-{RELEASE}")["TaskRoleArn"]["Fn::GetAtt"][0])


def allowed(mixed: Synthesis, role: str) -> dict[str, set[str]]:
    """Action → resources, of a role's inline policies; of a resource that is a token, its text."""
    found: dict[str, set[str]] = {}
    for policy in of_type(mixed.of("dev", f"release-{RELEASE}"), "AWS::IAM::Policy").values():
        if {"Ref": role} in policy["Roles"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                actions, resources = statement["Action"], statement["Resource"]
                for action in [actions] if isinstance(actions, str) else actions:
                    found.setdefault(action, set()).update(
                        map(str, resources if isinstance(resources, list) else [resources])
                    )
    return found


def test_a_pool_gets_what_its_tasks_need_and_no_other_pool_does(mixed: Synthesis) -> None:
    web, low = role_of(mixed, "web"), role_of(mixed, "low")
    roles = of_type(mixed.of("dev", f"release-{RELEASE}"), "AWS::IAM::Role")

    assert allowed(mixed, web)["s3:GetObject"] == {"arn:aws:s3:::shop-mail/*"}
    assert "s3:GetObject" not in allowed(mixed, low)
    assert roles[web]["ManagedPolicyArns"] == list(MIXED.pools[2].managed_policies)
    assert "ManagedPolicyArns" not in roles[low]
    # And all that the fleet's own work needs.
    for action, resources in allowed(mixed, low).items():
        assert resources <= allowed(mixed, web).get(action, set()), action
    assert role_of(mixed, "web") == str(
        task(mixed, f"web-{RELEASE}-fallback")["TaskRoleArn"]["Fn::GetAtt"][0]
    )


def of_pool(**changes: Any) -> Settings:
    """`staging`, with its first pool changed."""
    first, *others = environments.STAGING.pools
    return replace(environments.STAGING, pools=(replace(first, **changes), *others))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"allow": (Allow(actions=("s3:*",), resources=OBJECTS, reason="all of it, always"),)},
            "without a wildcard",
        ),
        (
            {"allow": (Allow(actions=("*",), resources=OBJECTS, reason="all of it, always"),)},
            "without a wildcard",
        ),
        ({"allow": (Allow(actions=("s3:GetObject",), resources=("*",)),)}, "everything in the account"),
        (
            {"allow": (Allow(actions=("textract:DetectDocumentText",), resources=("*",)),)},
            "knows no resource.*managed_policies",
        ),
        ({"allow": (Allow(actions=("s3:GetObject",), resources=OBJECTS),)}, "needs its reason"),
        (
            {"allow": (Allow(actions=("s3:GetObject",), resources=("arn:aws:s3:::sho?/x",)),)},
            "without space or",
        ),
        ({"allow": (Allow(actions=(), resources=OBJECTS),)}, "names actions and resources"),
        ({"managed_policies": ("arn:aws:iam::aws:policy/AdministratorAccess",)}, "nearly everything"),
        ({"managed_policies": ("SES",)}, "the ARN of a managed policy"),
        (
            {"managed_policies": tuple(f"arn:aws:iam::111111111111:policy/p{n}" for n in range(11))},
            "attaches 10 managed policies.*one managed policy that allows what several",
        ),
    ],
)
def test_what_would_allow_too_much_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        of_pool(**changes)


def test_one_resource_needs_no_reason() -> None:
    one = Allow(
        actions=("ses:SendEmail",), resources=("arn:aws:ses:eu-west-1:123456789012:identity/shop.example",)
    )

    assert of_pool(allow=(one,)).pools[0].allow == (one,)
