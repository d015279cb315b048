"""What the roles of `cdk bootstrap` may do: the template that ships in the CDK's command line, resolved.

The command line assumes them for nearly everything that a deploy asks of AWS; a test records those calls.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cfnlint.decode import decode

from infra.checks.access.resolve import Account, Template
from infra.settings import Settings

FILE = Path(__file__).parents[3] / "node_modules/aws-cdk/lib/api/bootstrap/bootstrap-template.yaml"
STACK = "CDKToolkit"

# Caller → the role's logical id in the template. Their names are `cdk-QUALIFIER-<role>-role-ACCOUNT-REGION`.
ROLES = {
    "cdk-deploy": "DeploymentActionRole",
    "cdk-file-publishing": "FilePublishingRole",
    "cdk-image-publishing": "ImagePublishingRole",
    "cdk-lookup": "LookupRole",
    "cdk-cfn-exec": "CloudFormationExecutionRole",
}
_NOTHING = {"Ref": "AWS::NoValue"}


def account(settings: Settings) -> Account:
    """The bootstrap's own stack in an environment's account, made as `make preflight` says."""
    parameters = {name: one.get("Default", "") for name, one in _template()["Parameters"].items()}
    # What the command line passes unless it is told otherwise (aws-cdk, lib/api/bootstrap).
    parameters |= {"FileAssetsBucketKmsKeyId": "AWS_MANAGED_KEY", "Qualifier": settings.bootstrap_qualifier}
    return Account(settings.account, settings.region, {STACK: resolved(_template(), parameters)})


def resolved(template: Template, parameters: Mapping[str, Any]) -> Template:
    """The template without parameters and conditions."""
    conditions = template["Conditions"]

    def holds(given: Any) -> bool:
        ((function, argument),) = given.items()
        match function:
            case "Condition":
                return holds(conditions[argument])
            case "Fn::Not":
                return not holds(argument[0])
            case "Fn::And":
                return all(map(holds, argument))
            case "Fn::Equals":
                first, second = map(plain, argument)
                return bool(first == second)
        raise KeyError(function)

    def plain(given: Any) -> Any:
        match given:
            case {"Ref": name} if name in parameters:
                return parameters[name]
            case {"Fn::If": [name, yes, no]}:
                return plain(yes if holds(conditions[name]) else no)
            case {"Fn::Sub": str() as text}:
                return {"Fn::Sub": re.sub(r"\$\{(\w+)\}", lambda found: _put(found, parameters), text)}
            case {"Fn::Join": [separator, {"Ref": name}]} if name in parameters:  # a list
                return str(separator).join(parameters[name])
            case dict():
                whole = {key: plain(value) for key, value in given.items()}
                return {key: value for key, value in whole.items() if value != _NOTHING}
            case list():
                return [one for one in map(plain, given) if one != _NOTHING]
        return given

    kept = {
        name: plain(one)
        for name, one in template["Resources"].items()
        if "Condition" not in one or holds(conditions[one["Condition"]])
    }
    return {"Resources": kept}


def _put(found: re.Match[str], parameters: Mapping[str, Any]) -> str:
    return str(parameters.get(found[1], found[0]))


@cache
def _template() -> Template:
    template, problems = decode(str(FILE))
    if template is None or problems:
        raise ValueError(f"{FILE} can't be read: {problems}")
    whole: Template = template
    return whole
