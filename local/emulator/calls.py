"""What IAM would be asked for a request: action, resource and condition keys. Pure.

By the Service Authorization Reference, for the services that containers, producers and `fleet` call. What a
service asks of KMS in the caller's name is no request; `infra.checks.access.implied` knows it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from taskfleet.contract import names, state

Params = Mapping[str, Any]

# One permission for both forms.
_SINGLE = {
    "SendMessageBatch": "SendMessage",
    "DeleteMessageBatch": "DeleteMessage",
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
}
# Of ECS tasks, which are never the same twice; MiniStack's own have dashes.
_RELEASE_STACK = re.compile(rf"{names.PROJECT}-([a-z0-9]+)-release-")
_ASSETS = re.compile(r"[0-9a-f]{64}\.\w+$")
_OF_BUCKET = {"encryption": "GetEncryptionConfiguration", "location": "GetBucketLocation"}
_IDS = re.compile(r"\b(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")


@dataclass(frozen=True)
class Asked:
    """One question to IAM. ``context`` has the condition keys that our policies name."""

    action: str
    resource: str
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """The account and region of a request."""

    region: str
    account: str

    def arn(self, service: str, rest: str) -> str:
        """``rest`` is what stands after the account."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{rest}"


def asked(service: str, operation: str, params: Params, place: Place) -> Iterator[Asked]:
    """The questions that one request brings; of a service that isn't known, on the resource ``*``."""
    if service == "dynamodb":
        yield from _dynamodb(operation, params, place)
        return
    if service == "s3":
        yield _s3(operation, params, place)
        return
    action = f"{_PREFIXES.get(service, service)}:{_SINGLE.get(operation, operation)}"
    context = _CONTEXTS.get(service, _no_context)(params, place)
    for resource in _RESOURCES.get(service, _any_resource)(operation, params, place):
        yield Asked(action, _IDS.sub("<id>", resource), context)
    if service == "cloudformation" and "RoleARN" in params:
        to = {"iam:PassedToService": "cloudformation.amazonaws.com"}
        yield Asked("iam:PassRole", str(params["RoleARN"]), to)


def _dynamodb(operation: str, params: Params, place: Place) -> Iterator[Asked]:
    if operation == "BatchGetItem":
        # IAM is asked once, about all keys: a policy allows a set of them if it allows each.
        for table, wanted in params["RequestItems"].items():
            for key in wanted["Keys"]:
                yield _item(operation, {"TableName": table, "Key": key}, place)
    elif operation == "BatchWriteItem":
        for table in params["RequestItems"]:
            yield _item(operation, {"TableName": table}, place)
    elif operation == "TransactWriteItems":
        for write in params["TransactItems"]:
            ((kind, inner),) = write.items()
            yield _item({"ConditionCheck": "ConditionCheckItem"}.get(kind, f"{kind}Item"), inner, place)
    else:
        yield _item(operation, params, place)


def _item(operation: str, params: Params, place: Place) -> Asked:
    table = str(params["TableName"]).rpartition("/")[2]
    index = f"/index/{params['IndexName']}" if params.get("IndexName") else ""
    key = params.get("Key") or params.get("Item") or {}
    # The other tables' keys are of no policy's concern, and without number.
    known = state.KEY in key and table.endswith(("-state", "-tools"))
    narrowed = {"dynamodb:LeadingKeys": [key[state.KEY]["S"]]} if known else {}
    return Asked(f"dynamodb:{operation}", place.arn("dynamodb", f"table/{table}{index}"), narrowed)


def _s3(operation: str, params: Params, place: Place) -> Asked:
    """What the CDK asks of the bucket of its assets; Service Authorization Reference, "Amazon S3"."""
    owner = {"aws:ResourceAccount": place.account, "s3:ResourceAccount": place.account}
    method, _, named = operation.partition(" ")
    bucket, key = params["Bucket"], params["Key"]
    if key:
        action = {"GET": "GetObject", "HEAD": "GetObject", "DELETE": "DeleteObject"}.get(method, "PutObject")
        return Asked(f"s3:{action}", f"arn:aws:s3:::{bucket}/{_ASSETS.sub('<asset>', key)}", owner)
    return Asked(f"s3:{_OF_BUCKET.get(named, 'ListBucket')}", f"arn:aws:s3:::{bucket}", owner)


def _sqs(operation: str, params: Params, place: Place) -> list[str]:
    name = params.get("QueueName") or str(params.get("QueueUrl", "*")).rpartition("/")[2]
    return [place.arn("sqs", name)]


def _ssm(operation: str, params: Params, place: Place) -> list[str]:
    given = params.get("Names") or [params.get("Name") or params.get("Path") or "*"]
    return [place.arn("ssm", f"parameter/{name.lstrip('/')}") for name in given]


def _secrets(operation: str, params: Params, place: Place) -> list[str]:
    name = str(params["SecretId"])
    return [name if name.startswith("arn:") else place.arn("secretsmanager", f"secret:{name}")]


def _ecs(operation: str, params: Params, place: Place) -> list[str]:
    cluster = str(params.get("cluster", "default")).rpartition("/")[2]

    def arns(kind: str, given: list[str]) -> list[str]:
        return [place.arn("ecs", f"{kind}/{cluster}/{one.rpartition('/')[2]}") for one in given]

    if operation in ("DescribeServices", "UpdateService"):
        return arns("service", params.get("services") or [params.get("service", "*")])
    if operation in ("DescribeTasks", "StopTask", "UpdateTaskProtection", "GetTaskProtection"):
        return arns("task", params.get("tasks") or [params.get("task", "*")])
    if operation == "RunTask":
        return [place.arn("ecs", f"task-definition/{str(params['taskDefinition']).rpartition('/')[2]}")]
    return ["*"]


def _cloudformation(operation: str, params: Params, place: Place) -> list[str]:
    name = str(params.get("StackName", "*"))
    return [name if name.startswith("arn:") else place.arn("cloudformation", f"stack/{name}/*")]


def _logs(operation: str, params: Params, place: Place) -> list[str]:
    group = str(params.get("logGroupName") or params.get("logGroupIdentifier") or "*")
    stream = f":log-stream:{params['logStreamName']}" if operation == "GetLogEvents" else ""
    return [place.arn("logs", f"log-group:{group}{stream}")]


def _elasticache(operation: str, params: Params, place: Place) -> list[str]:
    if operation == "DescribeSnapshots":
        return [place.arn("elasticache", f"snapshot:{params.get('SnapshotName', '*')}")]
    return [place.arn("elasticache", f"replicationgroup:{params.get('ReplicationGroupId', '*')}")]


def _sts(operation: str, params: Params, place: Place) -> list[str]:
    return [str(params.get("RoleArn", "*"))]


def _cloudwatch(operation: str, params: Params, place: Place) -> list[str]:
    return [place.arn("cloudwatch", "alarm:*")] if operation == "DescribeAlarms" else ["*"]


def _any_resource(operation: str, params: Params, place: Place) -> list[str]:
    return ["*"]


def _no_context(params: Params, place: Place) -> dict[str, Any]:
    return {}


def _namespace(params: Params, place: Place) -> dict[str, Any]:
    return {"cloudwatch:namespace": params["Namespace"]} if "Namespace" in params else {}


def _cluster(params: Params, place: Place) -> dict[str, Any]:
    """IAM has its ARN, whichever of the two a request names."""
    if "protectionEnabled" in params:  # not confirmed of UpdateTaskProtection: the task's ARN has the cluster
        return {}
    name = str(params.get("cluster", "default")).rpartition("/")[2]
    return {"ecs:cluster": place.arn("ecs", f"cluster/{name}")} if "cluster" in params else {}


def _tags(params: Params, place: Place) -> dict[str, Any]:
    """Those that each deploy sets on a stack of ours, as IAM sees them (a test holds the stacks to them)."""
    found = _RELEASE_STACK.search(str(params.get("StackName", "")))
    tags = names.stack_tags(found[1]) if found else {}
    return {f"aws:ResourceTag/{key}": value for key, value in tags.items()}


_RESOURCES: dict[str, Callable[[str, Params, Place], list[str]]] = {
    "sqs": _sqs,
    "ssm": _ssm,
    "secretsmanager": _secrets,
    "ecs": _ecs,
    "cloudformation": _cloudformation,
    "logs": _logs,
    "monitoring": _cloudwatch,
    "elasticache": _elasticache,
    "sts": _sts,
}
_CONTEXTS: dict[str, Callable[[Params, Place], dict[str, Any]]] = {
    "monitoring": _namespace,
    "ecs": _cluster,
    "cloudformation": _tags,
}
# The name in a signature → in IAM.
_PREFIXES = {"monitoring": "cloudwatch"}
