"""What Taskfleet adds to a message, and the names that it keeps in Redis."""

from __future__ import annotations

# Headers of every message that was published through `taskfleet.install`.
RELEASE_HEADER = "taskfleet_release"
PUBLISHED_AT_HEADER = "taskfleet_published_at"  # seconds since the epoch, as a float

# True where `expires` is the fleet's default: nobody of the team said that the task may be dropped.
DEFAULT_EXPIRY_HEADER = "taskfleet_default_expiry"

# True of a task that was revoked while it waited for a far ETA (`taskfleet.etas`): no worker runs it.
REVOKED_HEADER = "taskfleet_revoked"

# How often the message was handed to a worker before without an acknowledgement, orderly returns at a
# shutdown aside. Set by the transports at receipt, whatever the message said; 0 the first time.
DELIVERIES_HEADER = "taskfleet_deliveries"

# In `delivery_info`, set by the transports at receipt where the broker's clock tells it: when the message was
# published, in seconds of this machine's monotonic clock. True of one delivery only.
DELIVERY_PUBLISHED = "taskfleet_published"

# The first key of a message's JSON in Redis, but for `DELIVERIES_HEADER`: when Redis accepted it, on its own
# clock, in milliseconds.
REDIS_ACCEPTED = "taskfleet_accepted_ms"

# The task that proves a queue of a new release is consumed. Its worker writes the proof to the
# state table; its argument is the versioned queue that it was sent to.
GATE_TASK = "taskfleet.gate"
# The task that runs one of the team's own checks of a release (`taskfleet.gate`); its arguments are the
# check's task and the deployment that it is for.
GATE_CHECK_TASK = "taskfleet.gate_check"

# What the Redis transport keeps beside kombu's own keys (`taskfleet.brokers.redis`). All of them come
# after kombu's `global_keyprefix`, if one is set.
REDIS_SESSIONS = "taskfleet:sessions"  # zset: living sessions → their last beat, on the broker's own clock
REDIS_GONE = "taskfleet:gone"  # hash: sessions being emptied → what that adds to the delivery count
REDIS_CLOCK = "taskfleet:clock"  # hash: the time that the broker was up and used, in milliseconds
REDIS_OWNED = "taskfleet:owned:"  # + session, hash: delivery tag → length, priority and queue
REDIS_IN_FLIGHT = "taskfleet:inflight:"  # + queue, zset: delivery tag → fetched at, in milliseconds
REDIS_TAKEN = "taskfleet:taken:"  # + queue: how many were fetched and not given back, since somebody began
REDIS_LEAVING = "taskfleet:leaving:"  # + ECS service, set: tasks of it that shall fetch no more
REDIS_BELL = "taskfleet:bell:"  # + queue, list: rung by publishers, waited on by idle consumers
REDIS_SCHEDULED = "taskfleet:scheduled:"  # + queue, zset: id → due at, in milliseconds: waits for its ETA
REDIS_SCHEDULED_MESSAGES = "taskfleet:scheduled-messages:"  # + queue, hash: id → priority:message
REDIS_WAKING = "taskfleet:waking:"  # + queue: the session that wakes for the next due message, and when
REDIS_CLOSED = "taskfleet:closed"  # hash: queue → closed since, in milliseconds: nothing is published to it
REDIS_LAPSED = "taskfleet:lapsed:"  # + tag: which message that delivery was, whose lease has ended
REDIS_FINISHED = "taskfleet:finished"  # zset: messages that ended after their lease → when, in milliseconds
REDIS_HELD_BACK = "taskfleet:held-back:"  # + session, set: deliveries that its worker has not begun yet
REDIS_PARKED = "taskfleet:parked:"  # + queue, list: what was no message, as JSON with its reason
REDIS_PROBE = "taskfleet:probe"  # written by producers to see whether Redis takes publishes again
