"""What no type can say of a setting: what is allowed, what it does, and when one changes it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """``allowed`` is empty where the type says it: True or False, or an enum's members."""

    does: str
    change: str
    allowed: str = ""


_NEVER = "never: it is there to be refused with its reason"

SETTINGS = {
    "name": Words(
        "the environment's name; every resource is called by it",
        "before the first deploy only",
        "2 to 12 lower-case letters and digits, a letter first",
    ),
    "account": Words("the AWS account", "once, in place of the placeholder", "12 digits"),
    "region": Words(
        "the AWS region",
        "before the first deploy only",
        "a region of the partition aws, as eu-west-1: not China's, not GovCloud's",
    ),
    "network": Words("where it stands", "see [Network](#network)"),
    "pools": Words("its workers", "see [Pool](#pool)", "one at least, no name and no queue twice"),
    "owner": Words(
        "a tag of every stack, by which a deploy and a destroy leave another team's alone; an environment "
        "that is deployed already gets it with the command that preflight prints",
        "before the first deploy, where teams share an account and region",
        "at most 63 letters, digits, and `_ . @ -`",
    ),
    "app": Words("your Celery application", "once, to your own", "module:attribute"),
    "broker": Words("the primary broker", "see [Broker](#broker)"),
    "image": Words("what workers, beat and controller run", "see [Image](#image)"),
    "results": Words(
        "a result backend of the environment's own; None: the application's",
        "when results are read ([results.md](results.md) says which)",
    ),
    "default_queue": Words(
        "where a task goes that names no queue", "when no pool has a queue `low`", "a queue of a pool"
    ),
    "releases": Words(
        "how new code takes over: each release on queues of its own, or each build in the workers' place on "
        "one set of queues",
        "`ROLLING` when you want no versioned queues ([releases.md](releases.md#no-versioned-queues))",
        "`ROLLING` goes with neither `promotion=Promotion.MANUAL` nor `before_gate`",
    ),
    "promotion": Words(
        "what makes a release current whose gate has passed",
        "when a person must decide ([releases.md](releases.md))",
    ),
    "canary": Words(
        "whether a share of publishes goes to a release before it becomes current, and is compared",
        "see [Canary](#canary)",
        "`None`: no canary",
    ),
    "bake_seconds": Words(
        "so long after a promotion the release's own alarms roll it back; 0: they don't "
        "([releases.md](releases.md))",
        "with a canary, or instead of one",
        "10 to 43200, or 0",
    ),
    "before_gate": Words(
        "a command that runs once for each release before its gate",
        "for migrations ([deploying.md](deploying.md))",
        "a command's words; empty for none",
    ),
    "before_gate_timeout_seconds": Words(
        "a command that takes longer has failed, and its release",
        "with the longest migration",
        "1 to what its deploy waits (`infra/rules/application.py`)",
    ),
    "warm_seconds": Words(
        "how long a drained release keeps its workers, so that a rollback takes seconds; `None`: for ever",
        "longer where faults are found late: its workers cost as before",
        "0 or more, or `None`",
    ),
    "delete_after_seconds": Words(
        "how long a release sleeps before its stack is deleted; `None`: until somebody retires it",
        "when you want to wake older releases (`fleet release wake`)",
        "0 or more, or `None`",
    ),
    "keep_failed_seconds": Words(
        "how long a release that failed is kept asleep for a look, if its stack is still there",
        "when nobody looks, 0 removes it at once",
        "0 or more",
    ),
    "max_live_releases": Words(
        "how many releases may have workers at a time, the one that is deployed included",
        "when drains take longer than the time between deploys",
        "2 or more",
    ),
    "etas_beyond_seconds": Words(
        "how far ahead an ETA waits in its queue; one farther waits in a table and binds to a release when "
        "it is due, so that no drain waits for it; `None`: all wait in their queues",
        "when drains may take longer than ten minutes, or less",
        "120 or more, or `None`",
    ),
    "drain_deadline_seconds": Words(
        "`drain-overdue` rings when a release drains longer",
        "when tasks or countdowns are longer",
        "the longest countdown and time limit of a pool, or more",
    ),
    "alarm_dead_letters": Words(
        "new dead letters within five minutes that page somebody", "when so many are usual", "1 or more"
    ),
    "log_retention_days": Words(
        "how long CloudWatch keeps logs",
        "for audits, or to save",
        "what CloudWatch Logs takes: 1, 3, 5, 7, 14, 30, …",
    ),
    "container_insights": Words(
        "CloudWatch's own metrics of the containers", "off to save about $39 a month ([costs.md](costs.md))"
    ),
    "metrics_from": Words(
        "who reads the `/metrics` of controller and workers ([metrics.md](metrics.md#on-aws))",
        "when Prometheus scrapes it",
        "security groups, private ranges of /16 or smaller",
    ),
    "alarm_email": Words(
        "an address that alarms are sent to, once it has confirmed",
        "before anything depends on it",
        "an address",
    ),
    "alarms_elsewhere": Words(
        "you subscribe what pages you to the topic yourself", "when a chat or paging service does it"
    ),
    "runbook_url": Words(
        "where your team reads `runbooks/`: alarms link their page",
        "when they are published somewhere",
        "a URL",
    ),
    "bootstrap_qualifier": Words(
        "which of the account's CDK bootstraps deploys it",
        "when your platform team has one of its own",
        "at most 10 letters and digits",
    ),
    "ecs_exec": Words(
        "a shell in a running container, for whom IAM allows it; None: where `keep_data` is off",
        "when somebody must look inside ([operators.md](operators.md))",
    ),
    "keep_data": Words(
        "stateful resources are retained, and stacks protected", "off for environments that come and go"
    ),
    "on_this_machine": Words("it is deployed to the emulated account", "never: `local` has it"),
    "variables": Words(
        "more environment variables for the tasks",
        "for what your tasks read there",
        "names that are not the fleet's, AWS's or Celery's own",
    ),
    "secrets": Words(
        "the same for secrets: where their value is ([secrets.md](secrets.md))",
        "for what must not be in a template",
        "ARNs of secrets or SecureStrings",
    ),
}

CANARY = {
    "share": Words(
        "the share of workflows that goes to the release first",
        "larger finds faults sooner and costs more of them",
        "more than 0, 0.5 at most",
    ),
    "seconds": Words("for how long", "longer where a fault shows late, or few tasks run", "60 to 5400"),
    "runs": Words(
        "so many runs of its tasks are waited for, for as long again at most",
        "more where a little worse must be found",
        "1 or more",
    ),
}

NETWORK = {
    "cidr": Words(
        "the addresses of a VPC of its own; None: 10.40.0.0/16",
        "before the first deploy, when networks are peered",
        "a private range; the zones' subnets must fit",
    ),
    "existing": Words("a VPC that you have, in place of one of its own", "see [ExistingVpc](#existingvpc)"),
    "availability_zones": Words(
        "the zones",
        "before the first deploy",
        "zones of the region, none twice; two where the broker fails over",
    ),
    "egress": Words(
        "how containers reach AWS's APIs: through NAT gateways, or endpoints alone",
        "ENDPOINTS where nothing may reach the internet ([network.md](network.md))",
    ),
    "nat_gateways": Words(
        "how many; None: one for each zone", "1 to save, and fail with its zone", "1 to the number of zones"
    ),
    "flow_log_retention_days": Words(
        "how long flow logs are kept", "for audits, or to save", "as `log_retention_days`"
    ),
}

EXISTING_VPC = {
    "id": Words("the VPC", "once", "vpc-…"),
    "subnet_ids": Words(
        "its private subnets for the fleet", "instead of `subnet_tag`", "one in each zone, in their order"
    ),
    "subnet_tag": Words(
        "the tag that they carry", "instead of `subnet_ids`: the CDK then asks AWS", "Key=value"
    ),
    "route_table_ids": Words(
        "those of `subnet_ids`: gateway endpoints are added to them",
        "where it has no gateway endpoints",
        "one for each subnet",
    ),
    "endpoints": Words(
        "the endpoints that it has: these are not made", "with what it has", "names as s3, ecr.api"
    ),
}

BROKER = {
    "engine": Words("Valkey or Redis", "Valkey costs 20 % less"),
    "engine_version": Words(
        "its version", "to upgrade", "what ElastiCache offers (`infra/checks/elasticache.py`)"
    ),
    "node_type": Words(
        "the size of each node", "`broker-memory` or `broker-cpu` rings", "cache.…, as ElastiCache offers"
    ),
    "nodes": Words("the primary and its replicas", "2 where tasks must not be lost with a node", "1 to 6"),
    "port": Words("where it listens", "when a firewall wants another", "1150 to 65535"),
    "failover": Words("whether a replica takes over; None: with two nodes or more", "off to decide yourself"),
    "cluster_mode": Words("refused: Celery needs one hash slot", _NEVER, "False"),
    "serverless": Words("refused: it is cluster mode", _NEVER, "False"),
    "ingress": Words(
        "who may connect beside the fleet: producers ([producers.md](producers.md))",
        "for each producer outside the workers' security group",
        "security groups, private ranges of /16 or smaller",
    ),
    "lease_seconds": Words(
        "how long a worker on Redis that does not answer keeps its messages; living ones renew it "
        "([delivery.md](delivery.md))",
        "shorter to have a dead worker's tasks run elsewhere sooner, longer where machines pause",
        "10 to 26",
    ),
    "fallback_lease_seconds": Words(
        "the same on SQS, for each message: the visibility timeout that its worker extends",
        "the same",
        "30 to 600",
    ),
    "snapshot_retention_days": Words(
        "how long daily snapshots are kept", "to restore from ([restore.md](restore.md))", "0 (none) to 35"
    ),
    "restore_from_snapshot": Words(
        "a snapshot that the broker begins with: it is made anew",
        "to restore ([restore.md](restore.md)); leave it in afterwards",
        "a snapshot's name",
    ),
}

LIMITS = {
    "soft_time_limit_seconds": Words(
        "a task gets SoftTimeLimitExceeded", "with the longest task", "less than `time_limit_seconds`"
    ),
    "time_limit_seconds": Words(
        "… and is killed",
        "with the longest task",
        "less than `visibility_timeout_seconds`, for stock workers beside ours",
    ),
    "visibility_timeout_seconds": Words(
        "until what a dead *stock* Celery worker held is given to another; ours have `Broker.lease_seconds`",
        "with `time_limit_seconds`",
        "more than `time_limit_seconds`",
    ),
    "fallback_visibility_timeout_seconds": Words(
        "the same on SQS", "with `time_limit_seconds`", "more than `time_limit_seconds`, at most 12 hours"
    ),
    "longest_countdown_seconds": Words(
        "a publish that is farther ahead is refused; None: any", "to find far-off ETAs", "1 or more"
    ),
    "soft_shutdown_seconds": Words(
        "what running tasks get to finish when their worker receives SIGTERM",
        "with the usual task",
        "less than `stop_timeout_seconds`",
    ),
    "stop_timeout_seconds": Words(
        "from SIGTERM until ECS kills a container", "hardly", "at most 120 on Fargate"
    ),
    "max_tasks_per_child": Words(
        "tasks until a prefork child is replaced", "lower for what leaks slowly", "1 or more"
    ),
}

POOL = {
    "name": Words(
        "the pool", "a new name is a new service", "at most 20 lower-case letters, digits, underscores"
    ),
    "queues": Words(
        "the queues that it owns", "for each kind of work", "one at least; at most 24 letters each"
    ),
    "helps": Words(
        "other pools' queues that it consumes when its own are empty",
        "to use idle workers",
        "queues of other pools",
    ),
    "confirmed": Words(
        "its queues whose publishes return when a replica has them; None: all, where there is a replica",
        "`()` for speed, where the last moment before a failover may be lost",
        "its own queues",
    ),
    "execution": Words(
        "how a worker runs tasks side by side", "threads or gevent for what waits for networks"
    ),
    "concurrency": Words("slots of one worker", "with processor and memory of a task", "1 or more"),
    "cpu_units": Words(
        "processor of one worker; 1024 are a vCPU",
        "with `concurrency`",
        "what Fargate takes with `memory_mib`",
    ),
    "memory_mib": Words("memory of one worker", "with `concurrency`", "what Fargate takes with `cpu_units`"),
    "parent_memory_mib": Words(
        "what the worker's main process needs of it", "for large applications", "less than `memory_mib`"
    ),
    "max_memory_per_child_mib": Words(
        "a child that has used more is replaced; None: what is left, shared out",
        "hardly",
        "times `concurrency`, it must fit",
    ),
    "capacity": Words("what its workers run on", "Spot to save, EC2 for other machines"),
    "instance_type": Words(
        "the machine, with `capacity=Capacity.EC2`", "with the work", "of the image's processor"
    ),
    "min_workers": Words(
        "workers at rest", "2 where a zone's end must not stop it, 0 for rare work", "0 to `max_workers`"
    ),
    "max_workers": Words(
        "… and at most", "with the load, and what your database takes", "`min_workers` or more"
    ),
    "warm_fallback_workers": Words(
        "SQS workers that never sleep", "when a minute of waking is too long", "0 to `max_fallback_workers`"
    ),
    "max_fallback_workers": Words(
        "SQS workers at most; None: `max_workers`", "to spare what they work on", "1 or more"
    ),
    "latency_target_seconds": Words(
        "how long a task may wait: scaling aims at it, and 5 times of it pages",
        "with what the work is for",
        "1 or more",
    ),
    "scale_out_after_seconds": Words("how long a worker must be missing", "with bursts", "multiples of 10"),
    "scale_in_after_seconds": Words(
        "how long one must be too many", "with the gaps between bursts", "multiples of 10"
    ),
    "fallback_sleep_after_seconds": Words(
        "the same for its workers on SQS", "with how close outages are to each other", "multiples of 10"
    ),
    "limits": Words("times and counts of its tasks", "see [Limits](#limits)"),
    "allow": Words("what its tasks may do in AWS", "see [Allow](#allow)"),
    "managed_policies": Words("IAM policies for its tasks", "when you have them already", "ARNs"),
    "security_groups": Words(
        "more security groups of its workers",
        "when your database admits one ([network.md](network.md))",
        "sg-…, at most 4",
    ),
}

ALLOW = {
    "actions": Words("what", "for S3, SES and the like", "service:Action, never `*`"),
    "resources": Words("on what", "with the actions", "ARNs"),
    "reason": Words("why one of them has a wildcard; it stands in the ledger", "with each wildcard"),
}

IMAGE = {
    "architecture": Words(
        "the processor that it is built for", "X86_64 for packages without arm64 wheels, 25 % dearer"
    ),
    "base": Words("what it is built on", "for another Python ([image.md](image.md))", "python:… by digest"),
    "uri": Words(
        "an image that exists: nothing is built",
        "when your pipeline builds it ([image.md](image.md))",
        "a repository's URI, without a tag",
    ),
    "digest": Words("which one", "with `uri`, for each release", "sha256:…"),
}

RESULTS = {"expires_seconds": Words("how long a result is kept", "with who reads them", "1 or more")}

RESULTS_CACHE = {
    "engine": Words("Valkey or Redis", "Valkey costs 20 % less"),
    "engine_version": Words("its version", "to upgrade", "what ElastiCache offers"),
    "node_type": Words("the size of each node", "`results-memory` rings", "cache.…, as ElastiCache offers"),
    "nodes": Words("the primary and its replicas", "2 where results must outlive a node", "1 to 6"),
    "port": Words("where it listens", "when a firewall wants another", "1150 to 65535"),
    "ingress": Words(
        "who may connect beside the fleet; None: who may connect to the broker",
        "when fewer wait for results",
        "as `Broker.ingress`",
    ),
}

SECRET = {
    "arn": Words(
        "where it is", "for each secret", "of a secret in Secrets Manager, or of a SecureString in SSM"
    ),
    "field": Words(
        "one field of a secret that is a JSON object; empty: all of it",
        "for database credentials",
        "a key of that object, or empty",
    ),
    "key": Words(
        "the customer key that it is encrypted with; empty: AWS's own", "when there is one", "a key's ARN"
    ),
}
