"""What AWS narrows an action by, and how what we make is called there.

The Service Authorization Reference, as cfn-lint ships it, says which types of resources a policy may name for
an action. Ours have names of ours, but where AWS or CloudFormation makes them up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

# Service → type of resource → what its ARN says behind the account, for ours.
_NAMED: Mapping[str, Mapping[str, str]] = {
    "autoscaling": {"autoScalingGroup": "autoScalingGroup:*:autoScalingGroupName/taskfleet-*"},
    "cloudwatch": {"alarm": "alarm:taskfleet-*", "dashboard": "dashboard/taskfleet-*"},
    "ecs": {
        "capacity-provider": "capacity-provider/taskfleet-*",
        "cluster": "cluster/taskfleet-*",
        "service": "service/taskfleet-*/*",
        "service-deployment": "service-deployment/taskfleet-*/*",
        "task-definition": "task-definition/taskfleet-*:*",
    },
    "elasticache": {
        "cluster": "cluster:taskfleet-*",
        "replicationgroup": "replicationgroup:taskfleet-*",
        # CloudFormation makes their names up, and AWS does not say how they begin.
        "parametergroup": "parametergroup:*",
        "subnetgroup": "subnetgroup:*",
        "snapshot": "snapshot:*",  # a broker may be restored from any
    },
}
_NO_REGION = ("dashboard",)

# What changes something and is allowed on all resources of the region, each with the reason.
ON_ALL: Mapping[str, str] = {
    "application-autoscaling:*": "scalable targets have ids that AWS makes",
    "ec2:*": "what EC2 makes has ids, which are known only then",
    "kms:*": "keys have ids; what a key allows is said by its own policy, too",
    "ecs:DeregisterTaskDefinition": "AWS narrows it to no resource",
    "ecs:PutAccountSetting*": "AWS narrows it to no resource",
    "logs:*LogDeliver*": "deliveries have ids; AWS narrows their older actions to no resource",
}


def ours(action: str, account: str, region: str) -> tuple[str, ...]:
    """ARNs of what is ours among the resources that the action can be narrowed to; none: it can't be."""
    service = action.partition(":")[0]
    named = _NAMED.get(service, {})
    return tuple(
        f"arn:aws:{service}:{'' if type in _NO_REGION else region}:{account}:{named[type]}"
        for type in resource_types(action)
        if type in named
    )


def resource_types(action: str) -> tuple[str, ...]:
    """The types whose ARNs a policy may name for ``service:Action``; none: there is no narrower than all."""
    service, _, verb = action.partition(":")
    found = _reference().get(service, {}).get("Actions", {}).get(verb.lower(), {})
    return tuple(found.get("Resources", ()))


@cache
def _reference() -> dict[str, Any]:
    text = resources.files("cfnlint").joinpath("data/AdditionalSpecs/Policies.json").read_text()
    known: dict[str, Any] = json.loads(text)
    return known
