"""The SQS queues: a fallback queue per queue and release, a dead-letter queue per queue."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct
from taskfleet.contract import limits, names

from infra.base import stateful
from infra.checks.nag import acknowledge
from infra.settings import Pool, Settings

# Days that a message waits in a fallback queue. A message keeps its age when it is moved to the
# dead-letter queue, so this is shorter than SQS's longest, which the dead letters have. It is longer than the
# farthest ETA that is taken (`limits.FALLBACK_MAX_ETA_SECONDS`) and the week until a task expires.
FALLBACK_RETENTION_DAYS = 10
LONG_POLL_SECONDS = 20


def dead_letter_queue(scope: Construct, *, settings: Settings, queue: str, key: kms.IKey) -> sqs.Queue:
    """What consumers of ``queue`` could not run, of every release, for as long as SQS keeps anything."""
    dead = sqs.Queue(
        scope,
        f"Dead-{queue}",
        queue_name=names.dead_letter_queue(settings.name, queue),
        retention_period=Duration.seconds(limits.SQS_MAX_RETENTION_SECONDS),
        encryption=sqs.QueueEncryption.KMS,
        encryption_master_key=key,
        enforce_ssl=True,
        removal_policy=stateful(settings),
    )
    acknowledge(dead, "AwsSolutions-SQS3", "It is the dead-letter queue, of every release's fallback queues.")
    return dead


def fallback_queue(
    scope: Construct, *, settings: Settings, pool: Pool, queue: str, release: str, key: kms.IKey
) -> sqs.Queue:
    """The SQS twin of a versioned queue. It goes with its release, which is only deleted when drained."""
    dead_arn = Stack.of(scope).format_arn(
        service="sqs", resource=names.dead_letter_queue(settings.name, queue)
    )
    return sqs.Queue(
        scope,
        f"Fallback-{queue}",
        queue_name=names.fallback_queue(settings.name, queue, release),
        visibility_timeout=Duration.seconds(pool.limits.fallback_visibility_timeout_seconds),
        receive_message_wait_time=Duration.seconds(LONG_POLL_SECONDS),
        retention_period=Duration.days(FALLBACK_RETENTION_DAYS),
        dead_letter_queue=sqs.DeadLetterQueue(
            queue=sqs.Queue.from_queue_arn(scope, f"Dead-{queue}", dead_arn),
            # Being received says nothing of a message. Workers judge; this is for what they never settle.
            max_receive_count=limits.SQS_MAX_RECEIVE_COUNT,
        ),
        encryption=sqs.QueueEncryption.KMS,
        encryption_master_key=key,
        enforce_ssl=True,
        removal_policy=RemovalPolicy.DESTROY,
    )
