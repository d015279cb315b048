"""The DynamoDB tables: releases' state, producers, far ETAs, dead letters, what task tools hold, results."""

from __future__ import annotations

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from constructs import Construct
from taskfleet.contract import dead_letters, etas, leases, names, results, state, tools

from infra.base import stateful
from infra.settings import Settings

_TEXT, _NUMBER = dynamodb.AttributeType.STRING, dynamodb.AttributeType.NUMBER


def state_table(scope: Construct, *, settings: Settings, key: kms.IKey, protected: bool) -> dynamodb.Table:
    """Releases, their history, the pointer, the controller's last look; and revokes, which expire."""
    return _table(
        scope,
        "State",
        settings=settings,
        key=key,
        protected=protected,
        name=names.state_table(settings.name),
        partition_key=dynamodb.Attribute(name=state.KEY, type=_TEXT),
        expires=state.EXPIRES,
    )


def producers_table(
    scope: Construct, *, settings: Settings, key: kms.IKey, protected: bool
) -> dynamodb.Table:
    """Which processes may publish, to which releases; all of it expires."""
    return _table(
        scope,
        "Producers",
        settings=settings,
        key=key,
        protected=protected,
        name=names.producers_table(settings.name),
        partition_key=dynamodb.Attribute(name=leases.PARTITION, type=_TEXT),
        sort_key=dynamodb.Attribute(name=leases.PROCESS, type=_TEXT),
        expires=leases.EXPIRES,
    )


def etas_table(scope: Construct, *, settings: Settings, key: kms.IKey, protected: bool) -> dynamodb.Table:
    """Tasks with a far ETA, until they are due; and revokes of them, which expire."""
    return _table(
        scope,
        "Etas",
        settings=settings,
        key=key,
        protected=protected,
        name=names.etas_table(settings.name),
        partition_key=dynamodb.Attribute(name=etas.SHARD, type=_TEXT),
        sort_key=dynamodb.Attribute(name=etas.POSITION, type=_TEXT),
        expires=etas.EXPIRES,
    )


def dead_letters_table(
    scope: Construct, *, settings: Settings, key: kms.IKey, protected: bool
) -> dynamodb.Table:
    """What could not be run, for as long as SQS would keep it. Listed by queue and time over its index."""
    table = _table(
        scope,
        "DeadLetters",
        settings=settings,
        key=key,
        protected=protected,
        name=names.dead_letters_table(settings.name),
        partition_key=dynamodb.Attribute(name=dead_letters.ID, type=_TEXT),
        sort_key=dynamodb.Attribute(name=dead_letters.PART, type=_NUMBER),
        expires=dead_letters.EXPIRES,
    )
    table.add_global_secondary_index(
        index_name=dead_letters.INDEX,
        partition_key=dynamodb.Attribute(name=dead_letters.QUEUE, type=_TEXT),
        sort_key=dynamodb.Attribute(name=dead_letters.PARKED, type=_TEXT),
        projection_type=dynamodb.ProjectionType.INCLUDE,
        non_key_attributes=list(dead_letters.LISTED),
    )
    return table


def tools_table(scope: Construct, *, settings: Settings, key: kms.IKey, protected: bool) -> dynamodb.Table:
    """Locks, limits and what was done once, of the team's tasks (`taskfleet.tools`); all of it expires."""
    return _table(
        scope,
        "Tools",
        settings=settings,
        key=key,
        protected=protected,
        name=names.tools_table(settings.name),
        partition_key=dynamodb.Attribute(name=tools.KEY, type=_TEXT),
        expires=tools.EXPIRES,
    )


def results_table(scope: Construct, *, settings: Settings, key: kms.IKey, protected: bool) -> dynamodb.Table:
    """What tasks returned, and how far chords are: Celery's DynamoDB backend; results expire."""
    return _table(
        scope,
        "Results",
        settings=settings,
        key=key,
        protected=protected,
        name=names.results_table(settings.name),
        partition_key=dynamodb.Attribute(name=results.KEY, type=_TEXT),
        expires=results.EXPIRES,
    )


def _table(
    scope: Construct,
    id: str,
    *,
    settings: Settings,
    key: kms.IKey,
    protected: bool,
    name: str,
    partition_key: dynamodb.Attribute,
    sort_key: dynamodb.Attribute | None = None,
    expires: str | None = None,
) -> dynamodb.Table:
    return dynamodb.Table(
        scope,
        id,
        table_name=name,
        partition_key=partition_key,
        sort_key=sort_key,
        time_to_live_attribute=expires,
        billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
        encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
        encryption_key=key,
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=True
        ),
        # Such a table can't be deleted by the rollback of a create either.
        deletion_protection=protected,
        removal_policy=stateful(settings),
    )
