"""Publishing: bounded in time, to the current release, on whichever broker accepts it.

*A call that returns was accepted by a broker.* One whose outcome is unknown (a time-out after the
write) counts as not accepted and goes to the other broker under the same task id: at least once, never
zero. A task that must not run twice needs to look at its id.

If neither broker accepts it, the call raises `taskfleet.errors.PublishError`; its ``may_run`` says whether
one of them may have the task all the same.

What Redis accepted is on its primary node alone at that moment: a failover loses what no replica has yet.
A queue that a pool names in its ``confirmed`` setting (``infra/environments.py``) is confirmed: a publish to
it returns when a replica has the task, or goes to SQS. It costs the way to the replica and back;
``make bench BENCH=publish`` measures it.
"""
