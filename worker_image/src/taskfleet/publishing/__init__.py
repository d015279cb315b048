"""Publishing: bounded in time, to the current release, on whichever broker accepts it.

*A call that returns was accepted by a broker.* One whose outcome is unknown (a time-out after the
write) counts as not accepted and goes to the other broker under the same task id: at least once, never
zero. What must take effect once is written together with `taskfleet.idempotency.key`.

How long a call may take, from any thread or greenlet:

- A second while one broker is away, most often far less: Redis and all waiting for a free connection share
  0.6 s, then the breaker opens; SQS's call has 1.2 s of its own.
- 1.8 s until `taskfleet.errors.PublishError` when neither answers, and 2 s if SSM is mute, too, so that the
  pointer could not be read again. A worker tries on for `WorkerSettings.publish_patience_seconds`.
- A process's first publish also waits for the pointer and the manifest, its first to SQS for the queue's URL,
  and one after half a minute without any for the pointer; 1.2 s for each. When everything is mute the first
  of them ends in `taskfleet.errors.PointerUnknown`; when what comes after them is mute it is about 3 s; 5.4 s
  if each answers at its last moment. The broker's password is waited for within Redis's share. The first
  client of AWS takes a few tenths of a second of the processor on top.

Not bounded here: looking up a host's name, which no socket's time-out covers (the resolver's own count: 5 s,
twice, by ``resolv.conf``'s defaults); a name's second address, as each is tried for the time of one; and the
task role's credentials, which boto3 reads from the container's agent with time-outs of its own. A result
backend takes no part (`taskfleet.publishing.results`).

If neither broker accepts it, the call raises `taskfleet.errors.PublishError`; its ``may_run`` says whether
one of them may have the task all the same.

What Redis accepted is on its primary node alone at that moment: a failover loses what no replica has yet.
A queue that a pool names in its ``confirmed`` setting (``infra/environments.py``) is confirmed: a publish to
it returns when a replica has the task, or goes to SQS. It costs the way to the replica and back;
``make bench BENCH=publish`` measures it.
"""
