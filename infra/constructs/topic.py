"""Where alarms tell a person."""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct
from taskfleet.contract import names

from infra.settings import Settings

# What goes off, and what ends. CloudWatch notifies of every way into OK, also from INSUFFICIENT_DATA, in
# which each new alarm begins: with each release, a mail for each alarm would say that nothing has happened.
NEWS = {"$or": [{"NewStateValue": ["ALARM"]}, {"OldStateValue": ["ALARM"]}]}


def alarm_topic(scope: Construct, id: str, *, settings: Settings, key: kms.IKey) -> sns.Topic:
    """The topic of all alarms, encrypted; subscribe to it what calls a person.

    The key's own policy lets CloudWatch use it (`infra.constructs.key`).
    """
    topic = sns.Topic(
        scope, id, topic_name=names.alarm_topic(settings.name), master_key=key, enforce_ssl=True
    )
    # A topic with a policy of its own no longer has the default one, which let the account's services in.
    topic.add_to_resource_policy(
        iam.PolicyStatement(
            sid="AlarmsOfThisAccount",
            principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
            actions=["sns:Publish"],
            resources=[topic.topic_arn],
            conditions={"StringEquals": {"aws:SourceAccount": Stack.of(scope).account}},
        )
    )
    if settings.alarm_email is not None:
        sns.CfnSubscription(
            topic,
            "Mail",
            topic_arn=topic.topic_arn,
            protocol="email",
            endpoint=settings.alarm_email,
            filter_policy_scope="MessageBody",
            filter_policy=NEWS,
        )
    return topic
