"""Deploys synthesized templates through CloudFormation's API, without the CDK, and reads back what was made.

For an implementation of AWS that makes some types of resources only: what it can't make is left out, and what
refers to that gets an ARN that stands for it.
"""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.infra.synthesis import Template

Client = Callable[[str], Any]
_TEMPLATES = "templates"
_BOOTSTRAP = "/cdk-bootstrap/hnb659fds/version"


def assembly(directory: Path, environment: str) -> Iterator[tuple[str, Template]]:
    """(stack name, template) of an environment, each after those that it depends on."""
    folder = directory / f"assembly-{environment}"
    artifacts = json.loads((folder / "manifest.json").read_text())["artifacts"]
    stacks = {name: one for name, one in artifacts.items() if one["type"] == "aws:cloudformation:stack"}
    done: list[str] = []

    def visit(name: str) -> None:
        if name in stacks and name not in done:
            for needed in stacks[name].get("dependencies", ()):
                visit(needed)
            done.append(name)

    for name in stacks:
        visit(name)
    for name in done:
        properties = stacks[name]["properties"]
        yield properties["stackName"], json.loads((folder / properties["templateFile"]).read_text())


def bootstrap(client: Client, directory: Path, environment: str) -> None:
    """What `cdk bootstrap` and the upload of assets leave behind; every asset is an empty archive."""
    client("ssm").put_parameter(Name=_BOOTSTRAP, Value="30", Type="String")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("index.js", "")
    for file in (directory / f"assembly-{environment}").glob("*.assets.json"):
        for asset in json.loads(file.read_text())["files"].values():
            for place in asset["destinations"].values():
                _bucket(client, place["bucketName"])
                client("s3").put_object(
                    Bucket=place["bucketName"], Key=place["objectKey"], Body=content.getvalue()
                )


def _bucket(client: Client, name: str) -> None:
    s3 = client("s3")
    if name in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        return
    region = s3.meta.region_name
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=name, **where)


def without(
    template: Template, left_out: Collection[str], untagged: Collection[str], stand_in: str
) -> Template:
    """The template without resources of the types ``left_out``, and with no tags on those ``untagged``."""
    gone = {name for name, one in template["Resources"].items() if one["Type"] in left_out}

    def replaced(value: Any) -> Any:
        match value:
            case {"Ref": name} if name in gone:
                return stand_in
            case {"Fn::GetAtt": [name, attribute]} if name in gone:
                return "6379" if attribute.endswith("Port") else stand_in
            case {"Type": type_, "Properties": _} if type_ in untagged:
                return {
                    **value,
                    "Properties": {k: replaced(v) for k, v in value["Properties"].items() if k != "Tags"},
                }
            case dict():
                return {key: replaced(item) for key, item in value.items() if key != "DependsOn"}
            case list():
                return [replaced(item) for item in value]
        return value

    kept = {name: one for name, one in template["Resources"].items() if name not in gone}
    whole: Template = replaced({**template, "Resources": kept})
    return whole


def deploy(client: Client, stacks: Mapping[str, Template]) -> dict[str, str]:
    """Stack → its status. Raises what CloudFormation says about a template that it can't take.

    Templates go through S3, as the CDK's do: in a call they may have 51,200 bytes.
    """
    cloudformation, s3 = client("cloudformation"), client("s3")
    _bucket(client, _TEMPLATES)
    for name, template in stacks.items():
        s3.put_object(Bucket=_TEMPLATES, Key=name, Body=json.dumps(template))
        cloudformation.create_stack(
            StackName=name,
            TemplateURL=f"https://s3.amazonaws.com/{_TEMPLATES}/{name}",
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        waiter = cloudformation.get_waiter("stack_create_complete")
        waiter.wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    described = [cloudformation.describe_stacks(StackName=name)["Stacks"][0] for name in stacks]
    return {stack["StackName"]: stack["StackStatus"] for stack in described}


def read(client: Client, environment: str) -> dict[str, Any]:
    """What the account's APIs say of what was made, without what AWS makes up."""
    return {
        "parameters": _parameters(client("ssm"), environment),
        "queues": _queues(client("sqs"), environment),
        "tables": _tables(client("dynamodb"), environment),
        "task definitions": _task_definitions(client("ecs"), environment),
        "services": _services(client("ecs")),
        "policies": _policies(client("iam")),
    }


# What no two accounts have alike: ids, and the end of a name that CloudFormation made up.
_MADE_UP = re.compile(
    r"\b(vpc|subnet|sg|rtb|eni|eipalloc|nat|igw)-[0-9a-f]+|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
)


def plain(value: Any) -> Any:
    """With every made-up id as ``ID``."""
    match value:
        case str():
            return _MADE_UP.sub("ID", value)
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
    return value


def _parameters(ssm: Any, environment: str) -> dict[str, str]:
    pages = ssm.get_paginator("get_parameters_by_path").paginate(
        Path=f"/taskfleet/{environment}", Recursive=True
    )
    return {one["Name"]: plain(one["Value"]) for page in pages for one in page["Parameters"]}


_QUEUE = ("VisibilityTimeout", "MessageRetentionPeriod", "ReceiveMessageWaitTimeSeconds", "RedrivePolicy")


def _queues(sqs: Any, environment: str) -> dict[str, dict[str, Any]]:
    found = {}
    for url in sqs.list_queues().get("QueueUrls", []):
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        found[url.rpartition("/")[2]] = {name: attributes.get(name) for name in _QUEUE}
        if redrive := attributes.get("RedrivePolicy"):
            found[url.rpartition("/")[2]]["RedrivePolicy"] = json.loads(redrive)
    return found


def _tables(dynamodb: Any, environment: str) -> dict[str, Any]:
    found = {}
    for name in dynamodb.list_tables()["TableNames"]:
        table = dynamodb.describe_table(TableName=name)["Table"]
        expiry = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        found[name] = {
            "keys": table["KeySchema"],
            "billing": table.get("BillingModeSummary", {}).get("BillingMode"),
            "expiry": expiry.get("AttributeName"),
            "protected": table.get("DeletionProtectionEnabled", False),
        }
    return found


def _task_definitions(ecs: Any, environment: str) -> dict[str, Any]:
    found = {}
    for arn in ecs.list_task_definitions()["taskDefinitionArns"]:
        one = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        same = (
            "family",
            "cpu",
            "memory",
            "networkMode",
            "requiresCompatibilities",
            "runtimePlatform",
            "volumes",
        )
        found[one["family"]] = plain({name: one.get(name) for name in (*same, "containerDefinitions")})
    return found


def _services(ecs: Any) -> dict[str, Any]:
    found = {}
    for cluster in ecs.list_clusters()["clusterArns"]:
        names = ecs.list_services(cluster=cluster, maxResults=100)["serviceArns"]
        for start in range(0, len(names), 10):
            for one in ecs.describe_services(cluster=cluster, services=names[start : start + 10])["services"]:
                found[one["serviceName"]] = plain(
                    {
                        name: one.get(name)
                        for name in ("desiredCount", "launchType", "capacityProviderStrategy")
                    }
                )
    return found


def _policies(iam: Any) -> dict[str, Any]:
    found = {}
    for role in [
        role["RoleName"] for page in iam.get_paginator("list_roles").paginate() for role in page["Roles"]
    ]:
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            found[name] = plain(document if isinstance(document, dict) else _parsed(document))
    return found


def _parsed(document: str) -> Any:
    """moto keeps a policy that stands in its role's template as Python writes it."""
    return ast.literal_eval(document) if document.startswith("{'") else json.loads(document)
