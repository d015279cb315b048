"""The emulated AWS account: MiniStack with what it lacks, in one process on 127.0.0.1.

Every AWS API is served on `AWS_ENDPOINT_URL`. Beside them the process has a few paths of its own
under `/_local/`, for the parts of `local` only (nothing that is deployed may use them):

``GET /_local/health``
    200 with ``{"ready": true, "unsaved": []}`` once requests are served; ``unsaved`` names the services
    whose last change is not on disk yet.

``PUT /_local/ecs/tasks`` - the agent says which tasks exist
    The body is the whole truth, each time: every task that the agent runs now, and those that it
    stopped in the last ten minutes. ``ListTasks``, ``DescribeTasks`` and the counts and deployments of
    ``DescribeServices`` are answered from it. Send it on every change and at least every 2 s: what was
    not repeated for `ecs.SILENCE_SECONDS` (10 s) is no longer reported as running, because the agent's
    tasks die with it. ::

        {"tasks": [{
            "id": "0f…",                    # 32 hex characters, chosen by the agent; never reused
            "cluster": "taskfleet-local",   # name
            "service": "high-live",         # name
            "taskDefinition": "arn:aws:ecs:…:task-definition/…:3",
            "lastStatus": "RUNNING",        # PENDING, ACTIVATING, RUNNING, STOPPING, STOPPED, … as ECS
            "desiredStatus": "RUNNING",     # or STOPPED, once it has been told to stop
            "healthStatus": "HEALTHY",      # or UNHEALTHY, or UNKNOWN (no check, or not checked yet)
            "createdAt": 1790000000.0,      # seconds since the epoch; startedAt and stoppedAt may be null
            "startedAt": 1790000000.5,
            "stoppedAt": null,
            "stopCode": null,               # EssentialContainerExited, TaskFailedToStart, …
            "stoppedReason": null,
            "exitCode": null,
            "deployment": "ecs-svc/…",      # optional: the id of the deployment that it belongs to
            "pid": 4711                     # shown as the container's runtimeId
        }]}

    The answer is ``{"stop": ["0f…"], "protected": {"0f…": 1790000600.0}}``: tasks that somebody asked to
    stop (``ecs:StopTask``) and that the report still calls wanted, and tasks under scale-in protection
    (``ecs:UpdateTaskProtection``) with the time at which it ends.

    A service's deployment is COMPLETED once as many tasks of its task definition as desired are
    RUNNING (and HEALTHY, if a container has a health check) and no task of an older one is left. It is
    FAILED when the service has a deployment circuit breaker and its threshold of tasks stopped without
    having got that far; ``ecs`` then rolls back by itself if the breaker says so, and CloudFormation
    fails the stack's update. The agent runs what ``DescribeServices`` says in ``deployments``: for each,
    ``taskDefinition`` and ``desiredCount``; the one with status PRIMARY is the wanted one.

``POST /_local/scaling/activities``
    One activity, as ``DescribeScalingActivities`` is to show it.

``GET /_local/sqs/sent``
    How many messages were sent to each queue, by name, since the process started.

``GET``, ``PUT /_local/broker/tokens``
    ``{"group": "taskfleet-local"}``: which passwords the nodes of a replication group are to take, as
    ``{"tokens": [...], "applied": false}``. PUT with the ``tokens`` that they take now, and the group is
    ``available`` again.

``GET``, ``PUT /_local/faults`` - one service fails, the others answer
    ``{"service": "sqs", "fault": "error"}``; `local.emulator.faults` has the others, ``pass`` heals. With
    ``{"service": "ssm", "fault": "limit", "per_second": 40}`` only what is too much is throttled; the answer
    says how many requests were, by service.

``POST /_local/save``
    Writes the account's state to disk now (it is written every few seconds anyway).
"""
