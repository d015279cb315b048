"""IAM's limits of sizes and counts, held at synth: CloudFormation would refuse half-way through a deploy.

IAM user guide, "IAM and AWS STS quotas"; white space is not counted. What is known only in the account, an
ARN for the most part, counts as `UNKNOWN` characters.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsii
from aws_cdk import (
    App,
    IPolicyValidationContext,
    IPolicyValidationPlugin,
    PolicyValidationPluginReport,
    PolicyViolatingResource,
    PolicyViolation,
    Validations,
)

INLINE = 10_240  # of all inline policies of a role together
MANAGED = 6_144
TRUST = 2_048
ATTACHED = 10  # managed policies on a role; more is a quota (L-0DA4ABF3) that few accounts have raised
UNKNOWN = 90
_PSEUDO = {"AWS::Partition": 3, "AWS::AccountId": 12, "AWS::Region": 14, "AWS::URLSuffix": 13}

_OF_A_ROLE = (
    "Shorten a pool's allow: fewer resources, by a prefix with a wildcard and its reason; or write a managed "
    "policy of your own and name it in managed_policies (infra/environments.py)."
)
# The settings add nothing to these but names.
_OF_THE_FLEET = (
    "It is one of the fleet's own, in which the environment's name stands in most ARNs: choose a shorter "
    "name before the first deploy, or shorten what the policy is made of (infra/constructs/people.py, "
    "producers.py, permissions.py). No pool's allow is in it."
)
_OF_ATTACHED = "Fewer of a pool's managed_policies: write one that allows what several do."
_OF_TRUST = "Fewer principals in it: it is made in infra/constructs, and no setting adds to it."


@dataclass(frozen=True)
class Finding:
    """A resource that IAM refuses."""

    logical_id: str
    what: str
    most: int
    found: int
    fix: str

    def __str__(self) -> str:
        return f"{self.what}: {self.found}, and IAM takes {self.most}"


def findings(template: Mapping[str, Any]) -> Iterator[Finding]:
    """Those of one template."""
    inline, attached = defaultdict[str, int](int), defaultdict[str, int](int)
    for logical_id, resource in template["Resources"].items():
        given = resource.get("Properties", {})
        roles = [one["Ref"] for one in given.get("Roles", []) if isinstance(one, dict) and "Ref" in one]
        match resource["Type"]:
            case "AWS::IAM::Role":
                yield from _over(
                    logical_id, "the trust policy", TRUST, given["AssumeRolePolicyDocument"], _OF_TRUST
                )
                inline[logical_id] += sum(length(one["PolicyDocument"]) for one in given.get("Policies", []))
                attached[logical_id] += len(given.get("ManagedPolicyArns", []))
            case "AWS::IAM::Policy":
                for role in roles:
                    inline[role] += length(given["PolicyDocument"])
            case "AWS::IAM::ManagedPolicy":
                yield from _over(
                    logical_id, "the managed policy", MANAGED, given["PolicyDocument"], _OF_THE_FLEET
                )
                for role in roles:
                    attached[role] += 1
    for counts, what, most, fix in (
        (inline, "characters of the role's inline policies", INLINE, _OF_A_ROLE),
        (attached, "managed policies of the role", ATTACHED, _OF_ATTACHED),
    ):
        yield from (Finding(role, what, most, count, fix) for role, count in counts.items() if count > most)


def length(value: Any) -> int:
    """Characters of a document, white space not counted."""
    return len(re.sub(r"\s", "", json.dumps(_plain(value), separators=(",", ":"))))


def _over(logical_id: str, what: str, most: int, document: Any, fix: str) -> Iterator[Finding]:
    if (found := length(document)) > most:
        yield Finding(logical_id, f"characters of {what}", most, found, fix)


def _plain(value: Any) -> Any:
    match value:
        case {"Ref": name} if len(value) == 1:
            return "x" * _PSEUDO.get(name, UNKNOWN)
        case {"Fn::Join": [separator, [*parts]]}:
            return str(separator).join(str(_plain(part)) for part in parts)
        case dict() if len(value) == 1 and next(iter(value)).startswith("Fn::"):
            return "x" * UNKNOWN
        case dict():
            return {key: _plain(inner) for key, inner in value.items()}
        case list():
            return [_plain(inner) for inner in value]
    return value


@jsii.implements(IPolicyValidationPlugin)
class _Plugin:
    @property
    def name(self) -> str:
        return "taskfleet-iam"

    @property
    def version(self) -> None:
        return None

    @property
    def rule_ids(self) -> list[str]:
        return ["taskfleet_iam_limits"]

    def validate(self, context: IPolicyValidationContext) -> PolicyValidationPluginReport:
        violations = [
            PolicyViolation(
                rule_name=self.rule_ids[0],
                description=str(one),
                fix=one.fix,
                violating_resources=[
                    PolicyViolatingResource(
                        resource_logical_id=one.logical_id,
                        template_path=path,
                        locations=[f"Resources/{one.logical_id}"],
                    )
                ],
            )
            for path in context.template_paths
            for one in findings(json.loads(Path(path).read_text()))
        ]
        return PolicyValidationPluginReport(success=not violations, violations=violations)


def add_to(app: App) -> None:
    """Hold them at synth."""
    Validations.of(app).add_plugins(_Plugin())
