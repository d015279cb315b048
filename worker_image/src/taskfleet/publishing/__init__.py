"""Publishing: bounded in time, to the current release, on whichever broker accepts it.

*A call that returns was accepted by a broker.* One whose outcome is unknown (a time-out after the
write) counts as not accepted and goes to the other broker under the same task id: at least once, never
zero. What must take effect once is written together with `taskfleet.idempotency_key`.

The way of a publish: `producer` (what Celery calls) → `publisher` → `outgoing` (one object a publish: the
message, its address, its time) → `scheduling` if its ETA is far → `primary`, and if that does not accept it →
`fallback`. Both share their
round trips among all threads or greenlets of the process (`group_commit`): nobody waits for a free
connection, each gets its own answer. A process has one connection to Redis, and one more for publishes that
a replica confirms.

The tasks of a group, and those of `taskfleet.publish_many`, are made one by one and sent together (`batch`,
`canvas`, `many`); a replica confirms such a round trip once.

How long a call may take, from any thread or greenlet:

- A second while one broker is away, most often far less: Redis's silence ends after 0.3 s, or 0.6 s if it
  has to be connected to first (0.4 s after a silence); twice in a row opens the breaker, and all who wait go
  to SQS, whose call has 1.2 s.
- One with a far ETA waits for DynamoDB first, half a second at most, and then goes the way of the others.
- 2 s until `taskfleet.errors.PublishError` when neither answers. A worker tries on for
  `WorkerSettings.publish_patience_seconds`.
- A process's first publish also waits for the pointer and the manifest, for the broker's password, its first
  to SQS for the queue's URL, and one after half a minute without any for the pointer; about 1.2 s for each.
  When everything is mute the first of them ends in `taskfleet.errors.PointerUnknown`. The first client of AWS
  takes a few tenths of a second of the processor on top.
- Time counts against Redis only while the process looks into its socket, so one that is starved (of the
  processor, by another thread, by a busy event loop) takes longer, and does not turn to SQS for it.

Not bounded here: looking up a host's name, which no socket's time-out covers (the resolver's own count: 5 s,
twice, by ``resolv.conf``'s defaults); a name's second address, as each is tried for the time of one; and the
task role's credentials, which boto3 reads from the container's agent with time-outs of its own. A result
backend takes no part (`taskfleet.publishing.results`).

If neither broker accepts it, the call raises `taskfleet.errors.PublishError`; its ``may_run`` says whether
one of them may have the task all the same. Any error reply of Redis is such a refusal, and SQS is asked; what
no worker could run (not JSON, too large, an id that is no text) is the caller's error, and goes nowhere.

What Redis accepted is on its primary node alone at that moment: a failover loses what no replica has yet.
Where the broker has a replica, a queue is confirmed unless its pool says otherwise (``Pool.confirmed`` in
``infra/environments.py``): a publish to it returns when a replica has the task, or goes to SQS. It costs the
way to the replica and back; ``make bench BENCH=publish`` measures it.
"""
