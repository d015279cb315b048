"""The names of everything that two sides refer to, and the rule that each must follow."""

from __future__ import annotations

import hashlib
import re

PROJECT = "taskfleet"

# SQS allows 80 characters of [A-Za-z0-9_-]; `taskfleet-<environment>-<queue>-<release>` must fit.
_RULES = {
    "environment": re.compile(r"[a-z][a-z0-9]{1,11}"),
    "pool": re.compile(r"[a-z][a-z0-9_]{0,19}"),
    "queue": re.compile(r"[a-z][a-z0-9_]{0,23}"),
    # `low-r1-fallback` is the fallback service of release `r1`, so no release may be called so.
    "release": re.compile(r"(?!.*-fallback$)[a-z0-9](?:[a-z0-9-]{0,22}[a-z0-9])?"),
}
_RESERVED = {"queue": {"dead"}, "release": {"none"}}
# The one release of an environment whose releases are rolled: each build is deployed into its stack.
ROLLING = "rolling"


class InvalidName(ValueError):
    """A name breaks its rule. The message gives the name and the rule."""


def check(kind: str, name: str) -> str:
    """Return ``name`` if it may be the name of a ``kind`` (environment, pool, queue, release)."""
    rule = _RULES[kind]
    if not rule.fullmatch(name) or name in _RESERVED.get(kind, set()):
        reserved = sorted(_RESERVED.get(kind, set()))
        but = f", except {', '.join(reserved)}" if reserved else ""
        article = "an" if kind[0] in "aeiou" else "a"
        raise InvalidName(
            f"{name!r} can't be the name of {article} {kind}: it must match {rule.pattern}{but}"
        )
    return name


def versioned_queue(queue: str, release: str) -> str:
    """The physical queue of one release on Redis: ``<queue>.<release>``."""
    return f"{check('queue', queue)}.{check('release', release)}"


def split_versioned_queue(name: str) -> tuple[str, str] | None:
    """``(queue, release)`` of a versioned queue, or None for any other name."""
    queue, dot, release = name.partition(".")
    if not dot or not _RULES["queue"].fullmatch(queue) or not _RULES["release"].fullmatch(release):
        return None
    return queue, release


def fallback_queue(environment: str, queue: str, release: str) -> str:
    """The SQS twin of a versioned queue. No dots: kombu would turn them into dashes (FACTS, 2)."""
    return f"{fallback_prefix(environment)}{check('queue', queue)}-{check('release', release)}"


def fallback_prefix(environment: str) -> str:
    """What every SQS twin's name starts with; kombu's ``queue_name_prefix``."""
    return f"{PROJECT}-{check('environment', environment)}-"


def dead_letter_queue(environment: str, queue: str) -> str:
    """The SQS queue that keeps what a queue's consumers could not run. One for all releases."""
    return f"{dead_letter_prefix(environment)}{check('queue', queue)}"


def dead_letter_prefix(environment: str) -> str:
    """What every dead-letter queue's name starts with."""
    return f"{fallback_prefix(environment)}dead-"


def dead_letters_table(environment: str) -> str:
    """The DynamoDB table of what was put aside (`taskfleet.contract.dead_letters`)."""
    return f"{PROJECT}-{check('environment', environment)}-dead-letters"


def cluster(environment: str) -> str:
    """The ECS cluster."""
    return f"{PROJECT}-{environment}"


def service(pool: str, release: str, *, fallback: bool = False) -> str:
    """The ECS service of a pool in a release; its fallback service consumes SQS."""
    return f"{pool}-{release}-fallback" if fallback else f"{pool}-{release}"


CONTROLLER_SERVICE = "controller"
# The fleet's own, for releases that have none: those of the version before.
BEAT_SERVICE = "beat"


def beat_service(release: str) -> str:
    """The ECS service of a release's beat. No pool may be called ``beat``."""
    return service(BEAT_SERVICE, release)


SHELLS = "exec"  # what is typed in ECS Exec's shells is logged under this name


def task_family(environment: str, service_name: str) -> str:
    """The ECS task definition family of a service."""
    return f"{PROJECT}-{environment}-{service_name}"


def release_roles(environment: str) -> str:
    """The IAM path of releases' roles: whoever starts a one-off task may pass these and no others."""
    return f"/{PROJECT}/{check('environment', environment)}/releases/"


def log_group(environment: str, name: str) -> str:
    """The CloudWatch log group of a pool's workers in a release (``<pool>-<release>``) or of a service."""
    return f"/{PROJECT}/{environment}/{name}"


def capacity_provider(environment: str, pool: str) -> str:
    """The ECS capacity provider of a pool on EC2. AWS reserves the prefixes aws, ecs and fargate."""
    return f"{PROJECT}-{environment}-{pool}"


def account_wide(environment: str, region: str) -> str:
    """What names begin with that an account has once for all its regions: of policies and dashboards."""
    return f"{PROJECT}-{check('environment', environment)}-{region}"


def dashboard(environment: str, region: str) -> str:
    """The CloudWatch dashboard of an environment."""
    return account_wide(environment, region)


def alarm_topic(environment: str) -> str:
    """The SNS topic that tells a person of an alarm."""
    return f"{PROJECT}-{environment}-alarms"


# The stacks that live as long as their environment, in the order in which they are deployed.
LONG_LIVED = ("network", "broker", "fleet")


def stack(environment: str, part: str) -> str:
    """A CloudFormation stack of an environment: ``part`` is one of `LONG_LIVED`, or ``release-<id>``.

    With the project's name in front: a stack of somebody else's that is called ``dev-network`` stays his.
    """
    return f"{PROJECT}-{check('environment', environment)}-{part}"


def release_stack(environment: str, release: str) -> str:
    """The CloudFormation stack that holds everything of one release."""
    return f"{release_stack_prefix(environment)}{check('release', release)}"


def release_stack_prefix(environment: str) -> str:
    """What the names of all its release stacks start with."""
    return stack(environment, "release-")


OWNER_TAG = "taskfleet-owner"


def stack_tags(environment: str, owner: str = "") -> dict[str, str]:
    """The tags by which a stack is known as one of this environment's, and all that is in it.

    ``owner`` tells two teams apart that use one environment's name in one account and region.
    """
    owned = {OWNER_TAG: owner} if owner else {}
    return {"project": PROJECT, "environment": environment, **owned}


def broker(environment: str, snapshot: str | None = None) -> str:
    """The ElastiCache replication group (40 characters at most).

    One that is restored from a ``snapshot`` has a name of its own: it is made beside the one before it.
    """
    if snapshot is None:
        return f"{PROJECT}-{environment}"
    return f"{PROJECT}-{environment}-{hashlib.sha256(snapshot.encode()).hexdigest()[:6]}"


def broker_nodes(group: str, count: int) -> tuple[str, ...]:
    """The cache clusters that ElastiCache makes of a group: it publishes metrics for these only."""
    return tuple(f"{group}-{number:03d}" for number in range(1, count + 1))


def broker_secret(environment: str) -> str:
    """The Secrets Manager secret: JSON ``{"username": …, "password": …}`` of the primary broker."""
    return f"{PROJECT}/{environment}/broker"


def results_cache(environment: str) -> str:
    """The ElastiCache replication group of task results, where the settings ask for it."""
    return f"{broker(environment)}-results"


def results_secret(environment: str) -> str:
    """The Secrets Manager secret of that group, in the broker's form."""
    return f"{PROJECT}/{environment}/results"


def producer_policy(environment: str, region: str) -> str:
    """The IAM policy for whoever publishes from outside the fleet."""
    return f"{account_wide(environment, region)}-producer"


def viewer_policy(environment: str, region: str) -> str:
    """The IAM policy for whoever looks at an environment with `fleet`."""
    return f"{account_wide(environment, region)}-viewer"


def operator_policy(environment: str, region: str) -> str:
    """The IAM policy for whoever acts on an environment with `fleet`."""
    return f"{account_wide(environment, region)}-operator"


def state_table(environment: str) -> str:
    """The DynamoDB table of releases, their history and the controller's last look."""
    return f"{PROJECT}-{environment}-state"


def producers_table(environment: str) -> str:
    """The DynamoDB table of the processes that publish (`taskfleet.contract.leases`)."""
    return f"{PROJECT}-{environment}-producers"


def etas_table(environment: str) -> str:
    """The DynamoDB table of tasks with a far ETA (`taskfleet.contract.etas`)."""
    return f"{PROJECT}-{check('environment', environment)}-etas"


def tools_table(environment: str) -> str:
    """The DynamoDB table of `taskfleet.tools`: locks, limits, and what was done once."""
    return f"{PROJECT}-{environment}-tools"


def results_table(environment: str) -> str:
    """The DynamoDB table of task results, where the settings ask for it (`taskfleet.contract.results`)."""
    return f"{PROJECT}-{environment}-results"


def alarm(environment: str, kind: str, *scope: str) -> str:
    """An alarm's name. ``kind`` is the name of its runbook; ``scope`` is pool, release or queue."""
    return "-".join((PROJECT, environment, kind, *scope))
