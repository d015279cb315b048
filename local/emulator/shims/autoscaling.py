"""Application Auto Scaling: targets, policies and activities are kept and shown; `local.scaling` acts."""

from __future__ import annotations

import copy
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

from ministack import app
from ministack.core import router
from ministack.core.responses import (
    AccountRegionScopedDict,
    error_response_json,
    get_account_id,
    get_region,
    json_response,
)

from local.emulator.shims import table
from local.emulator.shims.table import Made, Properties

SERVICE = "application-autoscaling"
_KEPT_ACTIVITIES = 200

_targets = AccountRegionScopedDict()  # (namespace, resource, dimension) joined by "|" → target
_policies = AccountRegionScopedDict()  # the same and the policy's name → policy
_activities = AccountRegionScopedDict()  # "all" → list, newest first


def _key(data: Properties, *more: str) -> str:
    return "|".join((data["ServiceNamespace"], data["ResourceId"], data["ScalableDimension"], *more))


def _now() -> float:
    return round(time.time(), 3)


def _refuse(code: str, message: str) -> Any:
    return error_response_json(code, message, 400)


def _register_scalable_target(data: Properties) -> Any:
    key = _key(data)
    known = _targets.get(key)
    if known is None and not {"MinCapacity", "MaxCapacity"} <= set(data):
        return _refuse(
            "ValidationException", "MinCapacity and MaxCapacity are required to register a scalable target."
        )
    identifier = uuid.uuid4().hex[:30]
    arn = f"arn:aws:application-autoscaling:{get_region()}:{get_account_id()}:scalable-target/{identifier}"
    base = known or {"CreationTime": _now(), "ScalableTargetARN": arn, "RoleARN": "", "SuspendedState": {}}
    fields = ("ServiceNamespace", "ResourceId", "ScalableDimension", "MinCapacity", "MaxCapacity", "RoleARN")
    target = {**base, **{name: data[name] for name in (*fields, "SuspendedState") if name in data}}
    if target["MinCapacity"] > target["MaxCapacity"]:
        return _refuse("ValidationException", "Maximum capacity cannot be less than minimum capacity.")
    _targets[key] = target
    return json_response({"ScalableTargetARN": target["ScalableTargetARN"]})


def _deregister_scalable_target(data: Properties) -> Any:
    key = _key(data)
    if _targets.pop(key, None) is None:
        return _refuse("ObjectNotFoundException", f"No scalable target registered for {data['ResourceId']}.")
    for name in [name for name in _policies if name.startswith(f"{key}|")]:
        del _policies[name]
    return json_response({})


def _put_scaling_policy(data: Properties) -> Any:
    if _key(data) not in _targets:
        return _refuse("ObjectNotFoundException", f"No scalable target registered for {data['ResourceId']}.")
    key = _key(data, data["PolicyName"])
    known = _policies.get(key)
    arn = (
        f"arn:aws:autoscaling:{get_region()}:{get_account_id()}:scalingPolicy:{uuid.uuid4()}:"
        f"resource/{data['ServiceNamespace']}/{data['ResourceId']}:policyName/{data['PolicyName']}"
    )
    base = known or {"PolicyARN": arn, "CreationTime": _now(), "Alarms": []}
    _policies[key] = {"PolicyType": "StepScaling", **base, **data}
    return json_response({"PolicyARN": base["PolicyARN"], "Alarms": []})


def _delete_scaling_policy(data: Properties) -> Any:
    if _policies.pop(_key(data, data["PolicyName"]), None) is None:
        return _refuse("ObjectNotFoundException", f"No scaling policy {data['PolicyName']}.")
    return json_response({})


def _page(field: str, found: list[Any], data: Properties) -> Any:
    start, size = int(data.get("NextToken") or 0), int(data.get("MaxResults") or 50)
    answer: Properties = {field: found[start : start + size]}
    if start + size < len(found):
        answer["NextToken"] = str(start + size)
    return json_response(answer)


def _matches(item: Properties, data: Properties) -> bool:
    return all(
        not wanted or item[field] in (wanted if isinstance(wanted, list) else [wanted])
        for field, wanted in (
            ("ServiceNamespace", data.get("ServiceNamespace")),
            ("ScalableDimension", data.get("ScalableDimension")),
            ("ResourceId", data.get("ResourceIds") or data.get("ResourceId")),
        )
    )


def _describe_scalable_targets(data: Properties) -> Any:
    return _page("ScalableTargets", [t for t in _targets.values() if _matches(t, data)], data)


def _describe_scaling_policies(data: Properties) -> Any:
    names = data.get("PolicyNames")
    found = [p for p in _policies.values() if _matches(p, data) and (not names or p["PolicyName"] in names)]
    return _page("ScalingPolicies", found, data)


def _describe_scaling_activities(data: Properties) -> Any:
    return _page("ScalingActivities", [a for a in _activities.get("all", []) if _matches(a, data)], data)


def record_activity(activity: Properties) -> None:
    """Keep what `local.scaling` did, for DescribeScalingActivities. Newest first."""
    _activities["all"] = [activity, *_activities.get("all", [])][:_KEPT_ACTIVITIES]


_ACTIONS: dict[str, Callable[[Properties], Any]] = {
    "RegisterScalableTarget": _register_scalable_target,
    "DeregisterScalableTarget": _deregister_scalable_target,
    "PutScalingPolicy": _put_scaling_policy,
    "DeleteScalingPolicy": _delete_scaling_policy,
    "DescribeScalableTargets": _describe_scalable_targets,
    "DescribeScalingPolicies": _describe_scaling_policies,
    "DescribeScalingActivities": _describe_scaling_activities,
    "ListTagsForResource": lambda data: json_response({"Tags": {}}),
}


async def handle_request(
    method: str, path: str, headers: dict[str, str], body: bytes, query: Properties
) -> Any:
    """MiniStack's entry into a service."""
    name = headers.get("x-amz-target", "").rpartition(".")[2]
    action = _ACTIONS.get(name)
    if action is None:
        return _refuse("UnknownOperationException", f"{name} is not served by the emulated account.")
    return action(json.loads(body or b"{}"))


def get_state() -> Properties:
    """For MiniStack's persistence."""
    return copy.deepcopy({"targets": _targets, "policies": _policies, "activities": _activities})


def load_persisted_state(data: Properties) -> None:
    """What `get_state` gave."""
    _targets.update(data["targets"])
    _policies.update(data["policies"])
    _activities.update(data["activities"])


def _done(answer: Any) -> Properties:
    status, _, body = answer
    content: Properties = json.loads(body)
    if status >= 400:
        raise ValueError(f"{content.get('__type')}: {content.get('message') or content.get('Message')}")
    return content


def _target_put(properties: Properties) -> Made:
    scheduled = properties.get("ScheduledActions")
    if scheduled:
        raise ValueError("ScheduledActions are not carried out by the emulated account")
    tags = properties.get("Tags") or []  # a list in templates, a mapping in the API
    given = {**properties, "Tags": {tag["Key"]: tag["Value"] for tag in tags}}
    wanted = table.api_input(SERVICE, "RegisterScalableTarget", given)
    arn = _done(_register_scalable_target(wanted))["ScalableTargetARN"]
    identifier = "|".join((wanted["ResourceId"], wanted["ScalableDimension"], wanted["ServiceNamespace"]))
    return identifier, {"Id": identifier, "ScalableTargetARN": arn}


def _target_delete(identifier: str, properties: Properties) -> None:
    resource, dimension, namespace = identifier.split("|")
    found = {"ResourceId": resource, "ScalableDimension": dimension, "ServiceNamespace": namespace}
    if _key(found) in _targets:
        _done(_deregister_scalable_target(found))


def _policy_put(properties: Properties) -> Made:
    properties = dict(properties)
    if "ScalingTargetId" in properties:
        resource, dimension, namespace = properties.pop("ScalingTargetId").split("|")
        properties |= {"ResourceId": resource, "ScalableDimension": dimension, "ServiceNamespace": namespace}
    wanted = table.api_input(SERVICE, "PutScalingPolicy", properties)
    arn = _done(_put_scaling_policy(wanted))["PolicyARN"]
    return arn, {"Arn": arn}


def _policy_delete(arn: str, properties: Properties) -> None:
    for key in [key for key, policy in _policies.items() if policy["PolicyARN"] == arn]:
        del _policies[key]


def register() -> None:
    """Serve the API, and add its two resource types."""
    router.SERVICE_PATTERNS[SERVICE] = {"target_prefixes": ["AnyScaleFrontendService"]}
    app.SERVICE_HANDLERS[SERVICE] = handle_request
    table.add(
        "AWS::ApplicationAutoScaling::ScalableTarget",
        create=lambda logical_id, properties, stack_name: _target_put(properties),
        update=lambda identifier, old, new, stack_name, logical_id: _target_put(new),
        delete=_target_delete,
        replaced_by=("ResourceId", "ScalableDimension", "ServiceNamespace"),
    )
    table.add(
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        create=lambda logical_id, properties, stack_name: _policy_put(properties),
        update=lambda arn, old, new, stack_name, logical_id: _policy_put(new),
        delete=_policy_delete,
        replaced_by=("PolicyName", "ResourceId", "ScalableDimension", "ServiceNamespace", "ScalingTargetId"),
    )
