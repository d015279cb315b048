"""The settings of an environment: frozen, typed, units in the names.

What can be calculated has a default; what can't be right fails at synth (`infra.rules`) with the bad
value, the rule and the fix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum

from taskfleet.contract import names
from taskfleet.contract.limits import CONFIRMING_REPLICAS, REDIS_LEASE_SECONDS, SQS_LEASE_SECONDS
from taskfleet.contract.manifest import AUTOMATIC, MANUAL
from taskfleet.contract.manifest import Canary as Canary  # a setting, too

from infra import rules


class Execution(StrEnum):
    """How a worker runs tasks side by side (Celery's ``--pool``)."""

    PREFORK = "prefork"
    THREADS = "threads"
    GEVENT = "gevent"


class Capacity(StrEnum):
    """What a pool's workers run on."""

    FARGATE = "fargate"
    FARGATE_SPOT = "fargate-spot"  # a base of Fargate, the rest Spot
    EC2 = "ec2"  # an Auto Scaling group behind a capacity provider


class Releases(StrEnum):
    """How new code takes over from the code before it (docs/releases.md)."""

    VERSIONED = "versioned"  # blue/green: each release has queues and workers of its own
    # One set of queues, and ECS replaces the workers on it: a build must take the calls of the one before.
    ROLLING = "rolling"


class Promotion(StrEnum):
    """What makes a release current whose gate has passed."""

    AUTOMATIC = AUTOMATIC  # the controller, at once
    MANUAL = MANUAL  # a person: fleet release promote


class Architecture(StrEnum):
    """The processor that the image is built for."""

    ARM64 = "arm64"
    X86_64 = "x86_64"


class Engine(StrEnum):
    """The primary broker's engine."""

    VALKEY = "valkey"
    REDIS = "redis"


class Egress(StrEnum):
    """How the private subnets reach AWS's own APIs."""

    ENDPOINTS = "endpoints"  # interface endpoints: nothing else is reachable
    NAT = "nat"  # one NAT gateway per zone: the internet too


@dataclass(frozen=True, kw_only=True)
class ExistingVpc:
    """A VPC that your team has. `Network.egress` then says which way out it has."""

    id: str
    # Its private subnets for the fleet: one in each of `availability_zones`, in their order …
    subnet_ids: tuple[str, ...] = ()
    # … or the tag that they carry, as Tier=private: the CDK asks AWS, and remembers it in cdk.context.json.
    subnet_tag: str | None = None
    # Those of `subnet_ids`, in their order: gateway endpoints are added to them, where it has none.
    route_table_ids: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()  # the VPC endpoints that it has: these are not made

    @property
    def knows_route_tables(self) -> bool:
        """Whether gateway endpoints can be added."""
        return bool(self.route_table_ids or self.subnet_tag)


@dataclass(frozen=True, kw_only=True)
class Network:
    """The environment's VPC: one of its own, or one that exists."""

    cidr: str | None = None  # of a VPC of its own; default: 10.40.0.0/16. Different ones can be peered
    existing: ExistingVpc | None = None
    availability_zones: tuple[str, ...]
    egress: Egress = Egress.NAT
    nat_gateways: int | None = None  # default: one per zone; fewer are cheaper and fail with their zone
    flow_log_retention_days: int = 30

    @property
    def block(self) -> str | None:
        """The addresses of its VPC; None where somebody else chose them."""
        if self.existing:
            return None
        return "10.40.0.0/16" if self.cidr is None else self.cidr


@dataclass(frozen=True, kw_only=True)
class Broker:
    """The primary broker: an ElastiCache replication group, cluster mode off."""

    engine: Engine = Engine.VALKEY
    engine_version: str = "8.1"
    node_type: str = "cache.t4g.small"
    nodes: int = 2  # the primary and its replicas
    port: int = 6380  # not the engine's well-known one
    failover: bool | None = None  # to a replica in another zone; default: with two nodes or more
    cluster_mode: bool = False
    serverless: bool = False
    # Who may connect beside the fleet, as producers do: security groups (sg-…), private ranges (10.8.0.0/16).
    ingress: tuple[str, ...] = ()
    # How long a worker that does not answer keeps its messages, on this broker and on SQS; living ones renew
    # it. A shorter one gives them to another sooner, a longer one outlasts longer pauses of a machine.
    lease_seconds: int = REDIS_LEASE_SECONDS
    fallback_lease_seconds: int = SQS_LEASE_SECONDS
    snapshot_retention_days: int = 7
    # The name of a snapshot that the broker begins with; it is then made anew, beside the one that is there.
    # Leave it in: without it the next deploy would make an empty one (docs/restore.md).
    restore_from_snapshot: str | None = None

    @property
    def has_replica(self) -> bool:
        """Whether a publish can be confirmed by one."""
        return self.nodes > CONFIRMING_REPLICAS

    @property
    def fails_over(self) -> bool:
        """Whether a replica is promoted when the primary fails."""
        return self.nodes >= 2 if self.failover is None else self.failover


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Times and counts that hold for every task of a pool unless the task has its own."""

    soft_time_limit_seconds: int = 300
    time_limit_seconds: int = 330
    # Of stock Celery workers that consume these queues beside ours, as while a team moves to the fleet: how
    # long what a dead one holds stays hidden. Ours have leases (`Broker.lease_seconds`).
    visibility_timeout_seconds: int = 3600
    fallback_visibility_timeout_seconds: int = 3600
    longest_countdown_seconds: int | None = None  # a publish that is farther ahead is refused; None: any
    soft_shutdown_seconds: int = 90
    stop_timeout_seconds: int = 120
    max_tasks_per_child: int = 1000


@dataclass(frozen=True, kw_only=True)
class Allow:
    """One statement more of what a pool's tasks may do in AWS: each action on each resource."""

    actions: tuple[str, ...]  # service:Action, as s3:GetObject
    resources: tuple[str, ...]  # ARNs
    reason: str | None = None  # why one of them has a wildcard; it ends up in the ledger


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A group of identical workers with one purpose: one ECS service per release, and one on SQS."""

    name: str
    queues: tuple[str, ...]
    helps: tuple[str, ...] = ()  # other pools' queues that it also consumes
    # Those of its queues whose publishes return when a replica has them, so that a failover of the broker
    # loses none. Default: all of them, where the broker has a replica. The others, `()` for none confirmed,
    # may lose what was accepted in the last moment before it, and take a round trip less.
    confirmed: tuple[str, ...] | None = None
    execution: Execution = Execution.PREFORK
    concurrency: int = 4
    cpu_units: int = 1024
    memory_mib: int = 2048
    parent_memory_mib: int = 256
    max_memory_per_child_mib: int | None = None  # default: what the container has, shared out
    capacity: Capacity = Capacity.FARGATE
    instance_type: str = "m7g.large"  # EC2 capacity only
    min_workers: int = 1
    max_workers: int = 10
    warm_fallback_workers: int = 0
    max_fallback_workers: int | None = None  # default: max_workers
    latency_target_seconds: int = 60
    scale_out_after_seconds: int = 10
    scale_in_after_seconds: int = 60
    fallback_sleep_after_seconds: int = 300  # the same for its workers on SQS: outages come in series
    limits: Limits = Limits()
    # What its tasks need of AWS themselves (S3, SES, …). Such a pool has a task role of its own.
    allow: tuple[Allow, ...] = ()
    managed_policies: tuple[str, ...] = ()  # ARNs
    # Security groups of its workers beside the fleet's own, as your database admits one.
    security_groups: tuple[str, ...] = ()

    @property
    def child_memory_mib(self) -> int:
        """What each slot may hold before its child is replaced."""
        if self.max_memory_per_child_mib is not None:
            return self.max_memory_per_child_mib
        return (self.memory_mib - self.parent_memory_mib) // self.concurrency


@dataclass(frozen=True, kw_only=True)
class Image:
    """The worker image: built from ``worker_image/`` unless ``uri`` names one that exists."""

    architecture: Architecture = Architecture.ARM64
    # By digest, as public Dockerfiles pin this tag: the same source is the same image, also next year.
    base: str = (
        "python:3.13.13-slim-bookworm@sha256:355bfa66770995d7e9a0da4b3473b44d0cb451f6b56f5615ad9c39e3c4eca03f"
    )
    uri: str | None = None  # repository URI without a tag
    digest: str | None = None  # sha256:…, required with uri


@dataclass(frozen=True, kw_only=True)
class Results:
    """A result backend of the environment's own: a DynamoDB table, paid by request."""

    expires_seconds: int = 24 * 3600  # from then on DynamoDB deletes a result, within days


@dataclass(frozen=True, kw_only=True)
class ResultsCache:
    """A result backend of the environment's own: an ElastiCache group beside the broker's, paid by the hour.

    For many results, `.get()` that waits and large chords. How long they are kept: Celery's `result_expires`.
    """

    engine: Engine = Engine.VALKEY
    engine_version: str = "8.1"
    node_type: str = "cache.t4g.micro"
    nodes: int = 1  # with two, a replica takes over when the primary fails; with one, its results are lost
    port: int = 6381
    # Who may connect beside the fleet, to wait for results. Default: those of `broker.ingress`.
    ingress: tuple[str, ...] | None = None

    @property
    def fails_over(self) -> bool:
        """Whether a replica is promoted when the primary fails."""
        return self.nodes >= 2


@dataclass(frozen=True)
class Secret:
    """Where the value of a secret variable is: ECS reads it there whenever a container starts."""

    arn: str  # of a secret in Secrets Manager, or of a SecureString in SSM's Parameter Store
    _: KW_ONLY
    field: str = ""  # one field of a secret that is a JSON object; "": all of it
    key: str = ""  # the ARN of the customer-managed key that it is encrypted with; "": AWS's own key


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that differs between environments. One instance each in `infra.environments`."""

    name: str
    account: str
    region: str
    network: Network
    pools: tuple[Pool, ...]
    app: str  # the Celery application, as shop.app:app
    broker: Broker = Broker()
    image: Image = Image()
    # Default: the application's own result_backend, or CELERY_RESULT_BACKEND in `variables` or `secrets`.
    results: Results | ResultsCache | None = None
    # Your team, where several may use one environment's name in one account and region: a deploy and a
    # destroy leave alone what another one has made.
    owner: str = ""
    default_queue: str = "low"
    releases: Releases = Releases.VERSIONED
    promotion: Promotion = Promotion.AUTOMATIC
    # A share of publishes goes to a release first: Canary(share=0.05, seconds=600, runs=50). Default: none.
    canary: Canary | None = None
    # So long after a release has become current its own alarms send producers back; 0: they only ring.
    bake_seconds: int = 0
    # Runs once for each release before its gate, beside the workers of the default queue's pool, as
    # ("python", "manage.py", "migrate"): a release whose command fails, or takes longer, fails.
    before_gate: tuple[str, ...] = ()
    before_gate_timeout_seconds: int = 600
    drain_deadline_seconds: int = 24 * 3600
    # A release that has drained: warm for a rollback for so long, then asleep at zero, then deleted; None:
    # when somebody says so (fleet release retire).
    warm_seconds: int | None = 3600
    delete_after_seconds: int | None = 24 * 3600
    # One that failed sleeps at once, and is there for a look for so long; 0: it is removed at once.
    keep_failed_seconds: int = 24 * 3600
    # An ETA farther ahead waits in a table of its own and binds to a release when it is due, so that no drain
    # waits for it (docs/releases.md); None: all wait in the queues.
    etas_beyond_seconds: int | None = 600
    max_live_releases: int = 4  # with workers at a time, the one that is deployed included
    alarm_dead_letters: int = 10  # new ones within five minutes that page somebody
    log_retention_days: int = 30
    # CloudWatch Container Insights: processor, memory and network by service. Its metrics cost: `make cost`.
    container_insights: bool = True
    # Who reads the `/metrics` of controller and workers, which then serve theirs: a scraper's security group
    # (sg-…), a private range (10.8.0.0/20).
    metrics_from: tuple[str, ...] = ()
    alarm_email: str | None = None
    # Something else pages your team (a chat, a paging service): you subscribe it to the alarm topic yourself.
    alarms_elsewhere: bool = False
    runbook_url: str | None = None  # where your team reads `runbooks/`: alarms then link their page
    # Which of the account's CDK bootstraps deploys it: what `cdk bootstrap --qualifier` was given.
    bootstrap_qualifier: str = "hnb659fds"
    # A shell in a running container, for whom IAM allows it (docs/operators.md). Default: not with keep_data.
    ecs_exec: bool | None = None
    keep_data: bool = True  # stateful resources are retained and protected
    on_this_machine: bool = False  # the `local` environment: deployed to the emulated account
    variables: Mapping[str, str] = field(default_factory=dict)  # more environment, for the tasks
    secrets: Mapping[str, str | Secret] = field(default_factory=dict)  # variable name → its ARN, or more

    @property
    def broker_group(self) -> str:
        """The name of the primary broker's replication group."""
        return names.broker(self.name, self.broker.restore_from_snapshot)

    @property
    def is_rolled(self) -> bool:
        """Whether each build is deployed into one release, on one set of queues."""
        return self.releases is Releases.ROLLING

    @property
    def default_pool(self) -> Pool:
        """The one that has the default queue."""
        return next(pool for pool in self.pools if self.default_queue in pool.queues)

    @property
    def secret_variables(self) -> dict[str, Secret]:
        """`secrets`, with what is given as an ARN alone in the same form."""
        return {
            name: Secret(given) if isinstance(given, str) else given for name, given in self.secrets.items()
        }

    @property
    def allows_exec(self) -> bool:
        """Whether anybody can open a shell in a container."""
        return not self.keep_data if self.ecs_exec is None else self.ecs_exec

    @property
    def results_cache(self) -> ResultsCache | None:
        """Where results have a cache of their own."""
        return self.results if isinstance(self.results, ResultsCache) else None

    @property
    def confirmed_queues(self) -> tuple[str, ...]:
        """Those whose publishes return when a replica of the broker has the task."""
        return tuple(
            queue
            for pool in self.pools
            for queue in (
                pool.confirmed
                if pool.confirmed is not None
                else (pool.queues if self.broker.has_replica else ())
            )
        )

    def __post_init__(self) -> None:
        rules.check(self)
