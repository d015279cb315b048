"""What CloudFormation would make of a template's functions: names and ARNs of an environment's resources."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Resource = Mapping[str, Any]
Template = Mapping[str, Any]


@dataclass(frozen=True)
class Account:
    """All templates of one environment, by stack name, in its account and region."""

    account: str
    region: str
    templates: Mapping[str, Template]

    def value(self, given: Any, stack: str) -> Any:
        """``given`` without functions. Raises ``KeyError`` for one that it does not know."""
        if isinstance(given, list):
            return [self.value(one, stack) for one in given]
        if not isinstance(given, dict):
            return given
        if len(given) == 1:
            ((function, argument),) = given.items()
            if function == "Ref" or function.startswith("Fn::"):
                return _FUNCTIONS[function](self, argument, stack)
        return {name: self.value(one, stack) for name, one in given.items()}

    def ref(self, name: str, stack: str) -> Any:
        """``Ref`` of a pseudo parameter, an SSM parameter or a resource."""
        pseudo = {
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::Region": self.region,
            "AWS::AccountId": self.account,
            "AWS::StackName": stack,
            "AWS::NoValue": None,
        }
        if name in pseudo:
            return pseudo[name]
        template = self.templates[stack]
        if name in template.get("Parameters", {}):
            return self.published(template["Parameters"][name]["Default"])
        resource = template["Resources"][name]
        make = _REFS.get(resource["Type"])
        return make(self, self.properties(resource, stack), name) if make else f"{stack}-{name}"

    def arn(self, name: str, attribute: str, stack: str) -> str:
        """``Fn::GetAtt``: the ARN, or a made-up value for any other attribute."""
        resource = self.templates[stack]["Resources"][name]
        make = _ARNS.get(resource["Type"])
        if attribute not in ("Arn", "TopicArn") or make is None:
            return f"{stack}-{name}-{attribute}"
        return make(self, self.properties(resource, stack), name)

    def published(self, parameter: str) -> Any:
        """The value of an SSM parameter of the environment; of the CDK's own, the name."""
        for stack, template in self.templates.items():
            for resource in template["Resources"].values():
                if resource["Type"] == "AWS::SSM::Parameter" and resource["Properties"]["Name"] == parameter:
                    return self.value(resource["Properties"]["Value"], stack)
        return parameter

    def properties(self, resource: Resource, stack: str) -> Resource:
        """A resource's properties without functions, those aside that nobody names a resource by."""
        wanted = {"TableName", "Name", "QueueName", "LogGroupName", "TopicName", "ClusterName", "ServiceName"}
        wanted |= {"Path", "Family", "RoleName", "BucketName", "RepositoryName"}
        given = resource.get("Properties", {})
        return {key: self.value(given[key], stack) for key in wanted & given.keys()}


Make = Callable[[Account, Resource, str], str]


def _named(service: str, before: str, key: str, after: str = "") -> Make:
    def make(account: Account, properties: Resource, logical_id: str) -> str:
        name = f"{before}{properties.get(key, logical_id)}{after}"
        return f"arn:aws:{service}:{account.region}:{account.account}:{name}"

    return make


def _role(account: Account, properties: Resource, logical_id: str) -> str:
    name = properties.get("RoleName", logical_id)
    return f"arn:aws:iam::{account.account}:role{properties.get('Path', '/')}{name}"


_SECRET = _named("secretsmanager", "secret:", "Name", "-AbCdEf")
_TOPIC = _named("sns", "", "TopicName")
_ARNS: dict[str, Make] = {
    "AWS::DynamoDB::Table": _named("dynamodb", "table/", "TableName"),
    "AWS::SQS::Queue": _named("sqs", "", "QueueName"),
    "AWS::Logs::LogGroup": _named("logs", "log-group:", "LogGroupName", ":*"),
    "AWS::KMS::Key": _named("kms", "key/", ""),
    "AWS::ECS::Cluster": _named("ecs", "cluster/", "ClusterName"),
    "AWS::IAM::Role": _role,
    "AWS::S3::Bucket": lambda account, properties, name: f"arn:aws:s3:::{properties['BucketName']}",
    "AWS::ECR::Repository": _named("ecr", "repository/", "RepositoryName"),
    "AWS::SNS::Topic": _TOPIC,
    "AWS::SecretsManager::Secret": _SECRET,
}
_REFS: dict[str, Make] = {
    "AWS::SecretsManager::Secret": _SECRET,
    "AWS::SNS::Topic": _TOPIC,
    # What the CDK's bootstrap names by a parameter's path.
    "AWS::SSM::Parameter": lambda account, properties, name: str(properties.get("Name", name)),
    "AWS::Logs::LogGroup": lambda account, properties, name: str(properties.get("LogGroupName", name)),
    "AWS::ECS::Cluster": lambda account, properties, name: str(properties.get("ClusterName", name)),
    # The CDK asks for the URL of a queue only to send to it.
    "AWS::SQS::Queue": _named("sqs", "", "QueueName"),
}


def _get_att(account: Account, argument: Any, stack: str) -> str:
    name, attribute = argument if isinstance(argument, list) else argument.split(".", 1)
    return account.arn(name, attribute, stack)


def _join(account: Account, argument: Any, stack: str) -> str:
    separator, parts = argument
    return str(separator).join(map(str, account.value(parts, stack)))


def _split(account: Account, argument: Any, stack: str) -> list[str]:
    separator, text = argument
    return str(account.value(text, stack)).split(separator)


def _select(account: Account, argument: Any, stack: str) -> Any:
    index, of = argument
    found = account.value(of, stack)
    return found[int(index)] if int(index) < len(found) else f"{found}[{index}]"


def _sub(account: Account, argument: Any, stack: str) -> str:
    text = argument if isinstance(argument, str) else argument[0]

    def put(found: re.Match[str]) -> str:
        name, _, attribute = found[1].partition(".")
        return str(account.arn(name, attribute, stack) if attribute else account.ref(name, stack))

    return re.sub(r"\$\{([^}]+)\}", put, text)


_FUNCTIONS: dict[str, Callable[[Account, Any, str], Any]] = {
    "Ref": lambda account, name, stack: account.ref(name, stack),
    "Fn::GetAtt": _get_att,
    "Fn::Join": _join,
    "Fn::Split": _split,
    "Fn::Select": _select,
    "Fn::Sub": _sub,
    "Fn::Base64": lambda account, argument, stack: account.value(argument, stack),
}
