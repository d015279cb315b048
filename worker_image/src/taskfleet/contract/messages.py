"""What Taskfleet adds to a message, and the names that it keeps in Redis."""

from __future__ import annotations

# Headers of every message that was published through `taskfleet.install`.
RELEASE_HEADER = "taskfleet_release"
PUBLISHED_AT_HEADER = "taskfleet_published_at"  # seconds since the epoch, as a float

# How often the message was handed to a worker before without an acknowledgement, orderly returns at a
# shutdown aside. Set by the transports at receipt, whatever the message said; 0 the first time.
DELIVERIES_HEADER = "taskfleet_deliveries"

# The task that proves a queue of a new release is consumed. Its worker writes the proof to the
# state table; its argument is the versioned queue that it was sent to.
GATE_TASK = "taskfleet.gate"
