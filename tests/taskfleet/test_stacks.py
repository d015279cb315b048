"""Whose a stack is, and the command that gives one of ours its tags back."""

from __future__ import annotations

import json
import shlex

from taskfleet import stacks

from tests.support.ministack import MiniStack

TEMPLATE = {
    "Parameters": {"Name": {"Type": "String", "Default": "other"}},
    "Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": {"Ref": "Name"}}}},
}


def test_the_command_that_is_printed_gives_a_stack_its_tags_and_changes_nothing_else(aws: MiniStack) -> None:
    cloudformation, name = aws.client("cloudformation"), "taskfleet-dev-fleet"
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=json.dumps(TEMPLATE),
        Parameters=[{"ParameterKey": "Name", "ParameterValue": "alarms"}],
        Tags=[{"Key": "team", "Value": "shop floor"}],
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    reason = stacks.foreign("dev", stacks.find(cloudformation, name) or {}, owner="shop")
    assert reason is not None

    cloudformation.update_stack(**_arguments(reason.split("`")[1]))

    cloudformation.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    found = stacks.find(cloudformation, name) or {}
    assert stacks.foreign("dev", found, owner="shop") is None
    assert {"Key": "team", "Value": "shop floor"} in found["Tags"]
    assert [each["ParameterValue"] for each in found["Parameters"]] == ["alarms"]
    cloudformation.delete_stack(StackName=name)


def _arguments(command: str) -> dict[str, object]:
    """What the AWS command line makes of it."""
    words = shlex.split(command)
    assert words[:3] == ["aws", "cloudformation", "update-stack"]
    options: dict[str, list[str]] = {}
    for word in words[3:]:
        if word.startswith("--"):
            options[word] = given = []
        else:
            given.append(word)
    assert options.pop("--use-previous-template") == []
    pairs = {
        name: [dict(part.split("=", 1) for part in one.split(",")) for one in options[name]]
        for name in ("--parameters", "--tags")
    }
    return {
        "StackName": options["--stack-name"][0],
        "UsePreviousTemplate": True,
        "Capabilities": options["--capabilities"],
        "Parameters": [
            {"ParameterKey": each["ParameterKey"], "UsePreviousValue": each["UsePreviousValue"] == "true"}
            for each in pairs["--parameters"]
        ],
        "Tags": pairs["--tags"],
    }
