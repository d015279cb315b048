"""The producers table: which processes may publish, to which releases, and until when.

One DynamoDB item for each process. All have the same partition key, so that one query lists them; a partition
takes 1,000 writes a second (DynamoDB, "Designing partition keys"), which 60,000 processes make in a minute.
Not the state table, which has no sort key and whose items a producer must not be able to write. Not Redis:
the controller must know them while Redis is away, and a failover of Redis may forget the last of them.
"""

from __future__ import annotations

PARTITION, LEASES = "kind", "lease"
# `<host>/<pid>/<token>`: also where host names and process ids come again.
PROCESS = "process"
# Seconds since the epoch: from then on DynamoDB deletes the item. `UNTIL` ends the lease, long before.
EXPIRES = "expires_at"
UNTIL = "until"

# So long a process may publish on what it remembers after its lease was last written.
LEASE_SECONDS = 300.0
# One write a process and minute at most, and one when it ends.
RENEW_SECONDS = 60.0
# A process that ends sooner after its first publish writes none: what it read is too young to be wrong.
FIRST_SECONDS = 15.0
# Without a lease, or past it, what was read holds for so long: less than a release is seen empty for
# before it is called drained (`taskfleet.releases.observation.Rules`).
UNLEASED_SECONDS = 30.0
# A process renews its lease for so long after its last publish.
IDLE_SECONDS = 900.0
# While neither SSM nor the state table can be read, a process that goes on asking goes on publishing.
STATIC_SECONDS = 4 * 3600.0
# Who did not ask for so long was suspended or idle.
ASKING_SECONDS = 90.0
# Clocks of producers and of the controller differ by less; a lease is past so much after its end.
CLOCKS_DIFFER_SECONDS = 30.0
# DynamoDB keeps what is past so long, for whoever looks for a producer that is gone.
KEPT_SECONDS = 24 * 3600.0
