"""What the account needs before a deploy, and what stands there already."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from taskfleet import stacks
from taskfleet.contract import names

from infra import rules
from infra.preflight.finding import Finding, State
from infra.settings import Settings

# What the CDK's default synthesizer writes into each assembly as `requiresBootstrapStackVersion`; a test
# holds the two together.
BOOTSTRAP_VERSION = 6

# Made by AWS at the first use in an account, which has failed for being too slow for that very first call
# ("Unable to assume the service linked role"). Made by hand once, there is no race.
SERVICE_ROLES = {
    "ecs.amazonaws.com": "AWSServiceRoleForECS",
    "elasticache.amazonaws.com": "AWSServiceRoleForElastiCache",
    "ecs.application-autoscaling.amazonaws.com": "AWSServiceRoleForApplicationAutoScaling_ECSService",
}


def bootstrap_parameter(settings: Settings) -> str:
    """Where a bootstrap says its version."""
    return f"/cdk-bootstrap/{settings.bootstrap_qualifier}/version"


def bootstrap_command(settings: Settings) -> str:
    """What makes the bootstrap that the environment is deployed with."""
    command = f"node_modules/.bin/cdk bootstrap aws://{settings.account}/{settings.region}"
    qualifier = settings.bootstrap_qualifier
    if qualifier == Settings.bootstrap_qualifier:
        return command
    # Its own stack: that of the default name may be another bootstrap's.
    return f"{command} --qualifier {qualifier} --toolkit-stack-name CDKToolkit-{qualifier}"


def reached(settings: Settings, session: boto3.Session) -> Iterator[Finding]:
    """The settings name an account, and the credentials are of it."""
    what = "credentials"
    if problem := rules.placeholder_account(settings):
        yield Finding(
            what="account", state=State.MISSING, found="the placeholder", then=problem.partition("Fix: ")[2]
        )
        return
    try:
        who = session.client("sts").get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        yield Finding(
            what=what,
            state=State.MISSING,
            found=f"{error}",
            then="`aws sso login --profile …` or `aws configure`, then AWS_PROFILE=… in this shell; "
            "`make up` for ENV=local",
        )
        return
    if who["Account"] != settings.account:
        yield Finding(
            what=what,
            state=State.MISSING,
            found=f"of account {who['Account']}; {settings.name} is in {settings.account}",
            then="choose the account's profile: AWS_PROFILE=…",
        )
        return
    yield Finding(what=what, state=State.OK, found=f"{who['Arn']} in {settings.region}")


def prepared(settings: Settings, session: boto3.Session) -> Iterator[Finding]:
    """Zones, the CDK's bootstrap, and the roles that AWS's services act with."""
    for check in (_zones, _bootstrap, _service_roles):
        try:
            yield check(settings, session)
        except (BotoCoreError, ClientError) as error:
            yield unknown(check.__name__.strip("_").replace("_", " "), error)


def ours(settings: Settings, session: boto3.Session) -> Iterator[Finding]:
    """No stack of somebody else's has one of our names, and none of ours is stuck."""
    try:
        yield _stacks(settings, session.client("cloudformation"))
    except (BotoCoreError, ClientError) as error:
        # Not `unknown`: the CDK updates a stack of the right name, whoever made it.
        yield Finding(
            what="stacks",
            state=State.MISSING,
            found=f"whose they are could not be asked: {error}",
            then="allow cloudformation:DescribeStacks (docs/deploying-from-ci.md has the policy), then again",
        )


def paged(settings: Settings) -> Iterator[Finding]:
    """Somebody hears of an alarm."""
    if settings.alarm_email:
        yield Finding(what="alarm recipients", state=State.OK, found=f"go to {settings.alarm_email}")
        return
    if not rules.pages_nobody(settings):
        yield Finding(
            what="alarm recipients",
            state=State.OK,
            found=f"go to the topic {names.alarm_topic(settings.name)}, where you subscribe what pages you",
        )
        return
    yield Finding(
        what="alarm recipients",
        state=State.MISSING if settings.keep_data else State.LOOK,
        found="nobody is notified of them",
        then="set alarm_email, or alarms_elsewhere=True and subscribe what pages you to the topic "
        f"{names.alarm_topic(settings.name)}",
    )


def unknown(what: str, error: Exception) -> Finding:
    """For a question that the credentials may not ask."""
    return Finding(
        what=what,
        state=State.UNKNOWN,
        found=f"could not be asked: {error}",
        then="a deploy may still succeed; docs/deploying-from-ci.md has the policy that it takes",
    )


def _zones(settings: Settings, session: boto3.Session) -> Finding:
    there = session.client("ec2").describe_availability_zones()["AvailabilityZones"]
    names_there = sorted(zone["ZoneName"] for zone in there if zone.get("State", "available") == "available")
    wrong = [zone for zone in settings.network.availability_zones if zone not in names_there]
    if wrong:
        return Finding(
            what="zones",
            state=State.MISSING,
            found=f"this account has no {', '.join(wrong)}",
            then=f"network.availability_zones: of {', '.join(names_there)}",
        )
    return Finding(what="zones", state=State.OK, found=", ".join(settings.network.availability_zones))


def _bootstrap(settings: Settings, session: boto3.Session) -> Finding:
    then, run = "once per account and region; about a minute:", (bootstrap_command(settings),)
    try:
        parameter = session.client("ssm").get_parameter(Name=bootstrap_parameter(settings))["Parameter"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise
        return Finding(what="bootstrap", state=State.MISSING, found="not done", then=then, run=run)
    version = int(parameter["Value"])
    if version < BOOTSTRAP_VERSION:
        found = f"version {version}, and {BOOTSTRAP_VERSION} is needed"
        return Finding(what="bootstrap", state=State.MISSING, found=found, then=then, run=run)
    return Finding(what="bootstrap", state=State.OK, found=f"version {version}")


def _service_roles(settings: Settings, session: boto3.Session) -> Finding:
    iam = session.client("iam")
    missing = [service for service, role in SERVICE_ROLES.items() if not _exists(iam, role)]
    if missing:
        commands = tuple(f"aws iam create-service-linked-role --aws-service-name {one}" for one in missing)
        return Finding(
            what="service roles",
            state=State.LOOK,
            found=f"{len(missing)} not there yet: a very first deploy may fail, and succeed when repeated",
            then="make them now, once per account:",
            run=commands,
        )
    return Finding(what="service roles", state=State.OK, found="of ECS, ElastiCache and scaling")


def _exists(iam: Any, role: str) -> bool:
    try:
        iam.get_role(RoleName=role)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchEntity", "NoSuchEntityException"):
            return False
        raise
    return True


def _stacks(settings: Settings, cloudformation: Any) -> Finding:
    of_name = stacks.of_environment(cloudformation, settings.name)
    if reasons := [
        reason for one in of_name if (reason := stacks.foreign(settings.name, one, owner=settings.owner))
    ]:
        return Finding(what="stacks", state=State.MISSING, found="somebody else's", then="; ".join(reasons))
    # Only these are what every deploy updates.
    wanted = {names.stack(settings.name, part) for part in names.LONG_LIVED}
    found = [one for one in of_name if one["StackName"] in wanted]
    busy = [one["StackName"] for one in found if one["StackStatus"].endswith("_IN_PROGRESS")]
    busy = [name for name in busy if not _in_review(found, name)]
    if busy:
        return Finding(
            what="stacks",
            state=State.MISSING,
            found=f"{', '.join(busy)}: an operation is in progress",
            then="wait for its end (`aws cloudformation describe-stacks`)",
        )
    undeleted = [one["StackName"] for one in found if one["StackStatus"] == "DELETE_FAILED"]
    if undeleted:
        return Finding(
            what="stacks",
            state=State.MISSING,
            found=f"{', '.join(undeleted)}: a delete failed, and what is half deleted can't be updated",
            then="mend what its events name, then:",
            run=tuple(f"aws cloudformation delete-stack --stack-name {one}" for one in undeleted),
        )
    stuck = [one["StackName"] for one in found if one["StackStatus"] == "UPDATE_ROLLBACK_FAILED"]
    if stuck:
        return Finding(
            what="stacks",
            state=State.MISSING,
            found=f"{', '.join(stuck)}: an update failed, and its rollback too",
            then="mend what its events name, then:",
            run=tuple(f"aws cloudformation continue-update-rollback --stack-name {one}" for one in stuck),
        )
    made = len(found)
    return Finding(
        what="stacks",
        state=State.OK,
        found=f"{made} of {len(names.LONG_LIVED)} there, and ours" if made else "none yet: a first deploy",
    )


def _in_review(found: list[dict[str, Any]], name: str) -> bool:
    """A change set that was never executed: the next deploy takes it over."""
    return any(one["StackName"] == name and one["StackStatus"] == "REVIEW_IN_PROGRESS" for one in found)
