"""Numbers that AWS and the brokers set, each with its source. Settings are checked against them."""

from __future__ import annotations

FARGATE_MAX_STOP_TIMEOUT_SECONDS = 120  # ECS, ContainerDefinition stopTimeout
SQS_MAX_VISIBILITY_SECONDS = 12 * 3600  # SQS quotas, visibility timeout
SQS_MAX_DELAY_SECONDS = 15 * 60  # SQS quotas, message timer
SQS_MAX_RETENTION_SECONDS = 14 * 24 * 3600  # SQS quotas, message retention
SQS_MAX_MESSAGE_BYTES = 1024 * 1024  # SQS quotas, message size; all of a batch together as well
SQS_MAX_BATCH_MESSAGES = 10  # SQS quotas, batched message requests
SQS_MAX_RECEIVE_COUNT = 1000  # SQS, SetQueueAttributes: maxReceiveCount of a redrive policy
SQS_POLICY_SETTLES_SECONDS = 60  # SQS, SetQueueAttributes: until a change of most attributes is kept to
SQS_COUNTS_SETTLE_SECONDS = 60  # SQS, GetQueueAttributes: a minute after producers stop sending
DYNAMODB_MAX_ITEM_BYTES = 400 * 1024  # DynamoDB quotas, item size

# Clients that a node takes (ElastiCache User Guide, "Large number of connections").
ELASTICACHE_MAX_CONNECTIONS = 65_000

# Ours, not AWS's: from the end of a Fargate task to the first sign of life of the one that ECS starts in its
# place (a network interface, the image's layers, Python). Usually half of it; alarms must not ring before.
REPLACED_WITHIN_SECONDS = 120

# The arguments of a task, serialised. Ours, not a broker's: Redis would take 512 MB. As JSON inside JSON,
# every quote of it escaped, it still fits into an SQS message with its headers.
MESSAGE_BODY_MAX_BYTES = 256 * 1024

# The headers of a task and its properties, as JSON, beside that.
MESSAGE_HEADERS_MAX_BYTES = 256 * 1024

# Members of a chain, unless the application says another number: each message carries all that follow it, so
# that all of them together grow with the square of it.
CHAIN_MAX_MEMBERS = 100

# A message whose worker died so often is taken for the cause. Orderly returns don't count, nor does being
# fetched. SQS counts each time that a message is received, so there workers count (`taskfleet.worker.begun`).
MOST_DELIVERIES = 10

# How long a worker that does not answer keeps its messages, unless the settings say otherwise. On Redis a
# worker has one lease for all that it holds, and judges others by its own: while a deploy changes it the
# shorter one holds for both, so it must be longer than a worker with the longest is silent.
REDIS_LEASE_SECONDS = 13
REDIS_LEASE_LEAST_SECONDS, REDIS_LEASE_MOST_SECONDS = 10, 26
# On SQS each message has its own: the visibility timeout with which it is received and extended.
SQS_LEASE_SECONDS = 60
SQS_LEASE_LEAST_SECONDS, SQS_LEASE_MOST_SECONDS = 30, 600

# A release's gate has so long from its registration; twice that if its tasks can't even be sent.
GATE_DEADLINE_SECONDS = 900

# A deploy waits so long for the controller to say whether the release passed its gate, then CloudFormation
# fails it. Far over the gate's own end: if it ends so, the controller did not run.
ANSWER_WITHIN_SECONDS = 3 * GATE_DEADLINE_SECONDS

# The farthest ETA that the fallback takes. SQS hides a message for twelve hours at most, and each time it is
# looked at meanwhile counts as a receipt: one with many runs alone.
FALLBACK_MAX_ETA_SECONDS = MOST_DELIVERIES // 2 * SQS_MAX_VISIBILITY_SECONDS

# The longest hard time limit of a task that the fallback takes: SQS hides a message for no longer while it is
# run, and then gives it to a second worker. A minute is for what comes before and after the run.
FALLBACK_MAX_TIME_LIMIT_SECONDS = SQS_MAX_VISIBILITY_SECONDS - 60

# A publish to a confirmed queue waits for so many of the primary broker's replicas.
CONFIRMING_REPLICAS = 1

# kombu's Redis transport keeps a queue's priorities in lists of their own: the name alone for 0-2,
# then the name, this separator and the step (kombu.transport.redis, priority_steps and sep).
REDIS_PRIORITY_SEPARATOR = "\x06\x16"
REDIS_PRIORITY_STEPS = (0, 3, 6, 9)


def redis_lists(queue: str) -> tuple[str, ...]:
    """The Redis lists of one physical queue, the first served first."""
    return tuple(
        queue if step == 0 else f"{queue}{REDIS_PRIORITY_SEPARATOR}{step}" for step in REDIS_PRIORITY_STEPS
    )


# Of the primary broker's password: letters and digits. ElastiCache takes 16 to 128 characters.
BROKER_PASSWORD_LENGTH = 64
