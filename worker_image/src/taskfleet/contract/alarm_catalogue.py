"""Every alarm of the fleet, one entry each.

The constructs make them from here, the runbooks' index and their figures, the documentation and the tests
are held to it: a new alarm is an entry and a page. It stands in the contract because `fleet` and the
controller read it in the image, where ``infra`` does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from taskfleet.contract import metrics, names
from taskfleet.contract.alarms import MINUTE, Alarm, Audience, Comparison, Missing, Scope, Setting, scaling
from taskfleet.contract.limits import ELASTICACHE_MAX_CONNECTIONS
from taskfleet.contract.manifest import ReleaseManifest
from taskfleet.contract.metrics import ENOUGH_RUNS, LOOK_SECONDS, WINDOW_SECONDS

OLD_TARGETS, OLD_MINUTES = 5, 5
NO_WORKER_MINUTES = 3
FAILING_WORKERS = 3
IN_USE_MINUTES, IN_USE_OF_MINUTES = 3, 5
UNATTENDED_MINUTES = 3
SILENT_MINUTES = 4
DOWN_LOOKS = 3
BEAT_SILENT_SECONDS = 240
ETAS_LATE_SECONDS = 180
MEMORY_PERCENT, MEMORY_MINUTES = 75, 5
CPU_PERCENT, CPU_MINUTES = 80, 5
RESULTS_PERCENT, RESULTS_MINUTES = 90, 15
LATE_MINUTES = 15
UNFETCHED_SECONDS = 240
FAILED_PERCENT, RETRIED_PERCENT = 25, 50
BELOW_MINUTES = 10
WORKER_MEMORY_PERCENT, WORKER_MEMORY_MINUTES = 95, 15
LAG_SECONDS, LAG_MINUTES = 10, 5
CONNECTIONS, CONNECTIONS_MINUTES = ELASTICACHE_MAX_CONNECTIONS * 8 // 10, 5
_WINDOW_MINUTES = WINDOW_SECONDS // MINUTE
_OF_RUNS = f"ended within {_WINDOW_MINUTES} minutes, {ENOUGH_RUNS} or more,"
_DOWN = f"has not answered the controller for {DOWN_LOOKS * LOOK_SECONDS} s."

_SCALING = (
    scaling(
        "scale-out",
        "The pool needs more workers than it wants.",
        metrics.CAPACITY_GAP,
        1,
        Setting("scale_out_after_seconds"),
        reason="one worker missing",
    ),
    scaling(
        "scale-in",
        "The pool wants more workers than it needs.",
        metrics.CAPACITY_GAP,
        -1,
        Setting("scale_in_after_seconds"),
        reason="one worker too many, for so long that it is no gap between two bursts",
    ),
    scaling(
        "fallback-wake",
        "Messages wait on the fallback broker, or Redis is down: SQS workers are started.",
        metrics.FALLBACK_GAP,
        1,
        0,
        reason="one look: what is there has no other consumer",
    ),
    scaling(
        "fallback-sleep",
        "The fallback pool wants more workers than it needs.",
        metrics.FALLBACK_GAP,
        -1,
        Setting("fallback_sleep_after_seconds"),
        reason="Redis answered and SQS was empty in each look for so long: outages come in series",
    ),
)
_POOL = (
    Alarm(
        name="backlog-old",
        audience=Audience.PAGE,
        scope=Scope.POOL,
        meaning=f"Messages wait {OLD_TARGETS} times longer than the pool's target.",
        metric=metrics.OLDEST_AGE,
        comparison=Comparison.ABOVE,
        threshold=Setting("latency_target_seconds", times=OLD_TARGETS),
        reason="scaling had its time; a pool for nightly batches has a target to match",
        lasting_seconds=OLD_MINUTES * MINUTE,
        of_its_release=True,
        says=(
            f"more than {OLD_TARGETS} times as long as the pool's latency target, for {OLD_MINUTES} minutes.",
            f"above {OLD_TARGETS} times the\ntarget",
            f"two looks ({LOOK_SECONDS} s apart)",
        ),
    ),
    Alarm(
        name="no-worker",
        audience=Audience.PAGE,
        scope=Scope.POOL,
        meaning="The pool has no running worker, or keeps none.",
        metric=metrics.RUNNING_WORKERS,
        statistic="Average",  # a worker that lives for a second now and then would be a maximum of 1
        comparison=Comparison.BELOW,
        threshold=0.5,
        reason="most looks of each minute saw none; replacing the only worker takes about a minute",
        lasting_seconds=NO_WORKER_MINUTES * MINUTE,
        needs="min_workers",  # else no worker is what an idle pool looks like
        of_its_release=True,
        says=(f"no worker in most looks of {NO_WORKER_MINUTES} minutes:",),
    ),
    Alarm(
        name="workers-failing",
        audience=Audience.TICKET,
        scope=Scope.POOL,
        meaning="Workers of the pool end unasked, again and again.",
        metric=metrics.FAILED_WORKERS,
        comparison=Comparison.AT_LEAST,
        threshold=FAILING_WORKERS,
        reason="one may be a host's end, three have a cause; interruptions of Spot don't count",
        of_its_release=True,
        says=(f"{FAILING_WORKERS} or more workers of a pool ended unasked within {_WINDOW_MINUTES} minutes",),
    ),
    Alarm(
        name="not-fetched",
        audience=Audience.PAGE,
        scope=Scope.POOL,
        meaning="Messages wait, slots are free, and no worker fetches any.",
        metric=metrics.UNFETCHED,
        comparison=Comparison.ABOVE,
        threshold=UNFETCHED_SECONDS,
        reason="a worker that ends fetches nothing for two minutes, the next one starts within two; without "
        "any worker it is no-worker",
        of_its_release=True,
        says=(f"more than {UNFETCHED_SECONDS} s",),
    ),
    Alarm(
        name="waits-long",
        audience=Audience.TICKET,
        scope=Scope.POOL,
        meaning="One task in twenty waits longer than the pool's target.",
        metric=metrics.TASK_WAIT,
        statistic="p95",
        comparison=Comparison.ABOVE,
        threshold=Setting("latency_target_seconds"),
        reason="the target is missed a little, for ever: nothing is old enough to page; scaling had its time",
        lasting_seconds=LATE_MINUTES * MINUTE,
        missing=Missing.OK,
        says=(f"in each of {LATE_MINUTES} minutes",),
    ),
    Alarm(
        name="tasks-failing",
        audience=Audience.TICKET,
        scope=Scope.POOL,
        meaning="Many of the pool's tasks fail.",
        metric=metrics.FAILED_RUNS,
        comparison=Comparison.AT_LEAST,
        threshold=FAILED_PERCENT,
        reason="a share, where dead letters are a number: it is seen in a small pool, too; what a release "
        "breaks is rarely less",
        missing=Missing.OK,
        says=(f"{_OF_RUNS} {FAILED_PERCENT} % or more failed",),
    ),
    Alarm(
        name="tasks-retried",
        audience=Audience.TICKET,
        scope=Scope.POOL,
        meaning="Many of the pool's tasks are to be tried again.",
        metric=metrics.RETRIED_RUNS,
        comparison=Comparison.AT_LEAST,
        threshold=RETRIED_PERCENT,
        reason="each task runs twice in the mean; what they talk to is down or slow",
        missing=Missing.OK,
        says=(f"{_OF_RUNS} {RETRIED_PERCENT} % or more ended in a retry",),
    ),
    Alarm(
        name="below-minimum",
        audience=Audience.TICKET,
        scope=Scope.POOL,
        meaning="The pool has fewer workers than its minimum.",
        metric=metrics.RUNNING_WORKERS,
        comparison=Comparison.BELOW,
        threshold=Setting("min_workers"),
        reason="in no look of each minute; replacing one takes a few minutes, and where the minimum is 1 it "
        "is no-worker",
        lasting_seconds=BELOW_MINUTES * MINUTE,
        needs="min_workers",
        needs_at_least=2,
        says=(f"for {BELOW_MINUTES} minutes",),
    ),
    Alarm(
        name="workers-memory",
        audience=Audience.TICKET,
        scope=Scope.POOL,
        meaning="A worker of the pool has hardly any memory left.",
        metric=metrics.SERVICE_MEMORY,
        comparison=Comparison.AT_LEAST,
        threshold=WORKER_MEMORY_PERCENT,
        reason="children that hold more than their share are replaced: a moment near the end is no fault",
        lasting_seconds=WORKER_MEMORY_MINUTES * MINUTE,
        missing=Missing.OK,
        says=(
            f"{WORKER_MEMORY_PERCENT} % of its container's memory or more",
            f"for {WORKER_MEMORY_MINUTES} minutes",
        ),
    ),
    Alarm(
        name="held-long",
        audience=Audience.TICKET,
        scope=Scope.POOL,
        meaning="A message is held for longer than any task should run.",
        metric=metrics.OLDEST_HELD,
        comparison=Comparison.ABOVE,
        threshold=Setting("limits.visibility_timeout_seconds"),
        reason="the pool's time limit is shorter; a lease that lapses gives a message back within seconds",
        says=("longer than `visibility_timeout_seconds`",),
    ),
)
_QUEUE = (
    Alarm(
        name="fallback-in-use",
        audience=Audience.TICKET,
        scope=Scope.QUEUE,
        meaning="Messages are sent to the fallback broker.",
        metric=metrics.SQS_SENT,
        statistic="Sum",
        comparison=Comparison.AT_LEAST,
        threshold=1,
        reason="what is sent, not what is there: a countdown of two days waits there for two days; "
        "a redrive of some hundred takes less than a minute",
        lasting_seconds=IN_USE_OF_MINUTES * MINUTE,
        breaching=IN_USE_MINUTES,
        missing=Missing.OK,
        says=(f"in {IN_USE_MINUTES} of the last {IN_USE_OF_MINUTES} minutes",),
    ),
    Alarm(
        name="fallback-unattended",
        audience=Audience.PAGE,
        scope=Scope.QUEUE,
        meaning="Messages wait in an SQS queue and no worker fetches any: one is started each minute.",
        metric=metrics.SQS_VISIBLE,
        only_without=metrics.SQS_IN_FLIGHT,
        comparison=Comparison.AT_LEAST,
        threshold=1,
        reason="measured by SQS itself, so it needs no controller; a worker that is woken fetches within two "
        "minutes, and a backlog that is worked off has messages in flight",
        lasting_seconds=UNATTENDED_MINUTES * MINUTE,
        missing=Missing.OK,
        scales=True,
        of_its_release=True,
        says=(f"for {UNATTENDED_MINUTES} minutes, and none was in flight",),
    ),
)
_FLEET = (
    Alarm(
        name="controller-silent",
        audience=Audience.PAGE,
        scope=Scope.FLEET,
        meaning="The controller stopped measuring: scaling holds.",
        metric=metrics.CONTROLLER_TICK,
        statistic="Sum",
        comparison=Comparison.BELOW,
        threshold=1,
        reason="a deploy stops the old one before it starts the new, and ECS replaces one that ended: within "
        "two minutes and a half",
        lasting_seconds=SILENT_MINUTES * MINUTE,
        missing=Missing.ALARM,
        says=(f"took no look for {SILENT_MINUTES} minutes.", f"every {LOOK_SECONDS} s"),
    ),
    Alarm(
        name="broker-down",
        audience=Audience.PAGE,
        scope=Scope.FLEET,
        meaning="The primary broker doesn't answer the controller.",
        metric=metrics.BROKER_UP,
        comparison=Comparison.BELOW,
        threshold=1,
        reason="longer than a failover's first seconds",
        period_seconds=LOOK_SECONDS,
        lasting_seconds=DOWN_LOOKS * LOOK_SECONDS,
        says=(_DOWN,),
    ),
    Alarm(
        name="fallback-down",
        audience=Audience.PAGE,
        scope=Scope.FLEET,
        meaning="SQS doesn't answer the controller: there is no way out.",
        metric=metrics.FALLBACK_UP,
        comparison=Comparison.BELOW,
        threshold=1,
        reason="longer than one throttled call",
        period_seconds=LOOK_SECONDS,
        lasting_seconds=DOWN_LOOKS * LOOK_SECONDS,
        says=(_DOWN,),
    ),
    Alarm(
        name="beat-silent",
        audience=Audience.PAGE,
        scope=Scope.FLEET,
        meaning="Beat stopped ticking: periodic tasks aren't sent.",
        metric=metrics.BEAT_AGE,
        comparison=Comparison.ABOVE,
        threshold=BEAT_SILENT_SECONDS,
        reason="a deploy stops the old one before it starts the new: within two minutes and a half",
        says=(f"not ticked for {BEAT_SILENT_SECONDS} s:",),
    ),
    Alarm(
        name="etas-late",
        audience=Audience.PAGE,
        scope=Scope.FLEET,
        meaning="Tasks whose far ETA has come aren't sent.",
        metric=metrics.ETAS_LATE,
        comparison=Comparison.ABOVE,
        threshold=ETAS_LATE_SECONDS,
        reason="beat sends them a minute ahead, and is away for two minutes and a half while it is replaced",
        says=(f"late by more than {ETAS_LATE_SECONDS} s:",),
    ),
    Alarm(
        name="drain-overdue",
        audience=Audience.TICKET,
        scope=Scope.FLEET,
        meaning="A release drains longer than its deadline.",
        metric=metrics.DRAIN_OVERDUE,
        comparison=Comparison.AT_LEAST,
        threshold=1,
        reason="the deadline is a setting, drain_deadline_seconds",
    ),
    Alarm(
        name="dead-letters",
        audience=Audience.PAGE,
        scope=Scope.FLEET,
        meaning="Many tasks became dead letters within minutes.",
        metric=metrics.NEW_DEAD_LETTERS,
        comparison=Comparison.AT_LEAST,
        threshold=Setting("alarm_dead_letters"),
        reason="new ones, not all that are kept: at a million tasks a day some fail every hour, and one that "
        "nobody redrives would hide the next incident for 14 days",
        says=(f"within {_WINDOW_MINUTES} minutes",),
    ),
)
_NODE = (
    Alarm(
        name="broker-memory",
        audience=Audience.PAGE,
        scope=Scope.NODE,
        meaning="A node of the primary broker is filling its memory.",
        metric=metrics.NODE_MEMORY,
        comparison=Comparison.AT_LEAST,
        threshold=MEMORY_PERCENT,
        # maxmemory is what is left after the reserved quarter; at noeviction a full broker refuses publishes.
        reason="a full broker refuses publishes; at rest it holds a few per cent",
        lasting_seconds=MEMORY_MINUTES * MINUTE,
        says=(f"{MEMORY_PERCENT} % of its memory or more for {MEMORY_MINUTES} minutes.",),
    ),
    Alarm(
        name="broker-cpu",
        audience=Audience.PAGE,
        scope=Scope.NODE,
        meaning="A node of the primary broker has little processor time left.",
        metric=metrics.NODE_CPU,
        comparison=Comparison.AT_LEAST,
        threshold=CPU_PERCENT,
        reason="of the one core that runs commands",
        lasting_seconds=CPU_MINUTES * MINUTE,
        says=(f"{CPU_PERCENT} % busy or more for {CPU_MINUTES} minutes:",),
    ),
    Alarm(
        name="broker-lag",
        audience=Audience.TICKET,
        scope=Scope.NODE,
        meaning="A replica of the primary broker is behind.",
        metric=metrics.NODE_LAG,
        comparison=Comparison.AT_LEAST,
        threshold=LAG_SECONDS,
        reason="what a failover would lose of queues that are not confirmed; usually far below a second",
        lasting_seconds=LAG_MINUTES * MINUTE,
        missing=Missing.OK,
        needs="nodes",
        needs_at_least=2,
        says=(f"{LAG_SECONDS} s or more behind for {LAG_MINUTES} minutes",),
    ),
    Alarm(
        name="broker-connections",
        audience=Audience.TICKET,
        scope=Scope.NODE,
        meaning="A node of the primary broker has nearly as many clients as it takes.",
        metric=metrics.NODE_CONNECTIONS,
        comparison=Comparison.AT_LEAST,
        threshold=CONNECTIONS,
        reason=f"four fifths of {ELASTICACHE_MAX_CONNECTIONS}, which can't be raised; then it refuses them",
        lasting_seconds=CONNECTIONS_MINUTES * MINUTE,
        says=(
            f"{CONNECTIONS} or more clients have been connected",
            f"for {CONNECTIONS_MINUTES} minutes",
            f"it takes {ELASTICACHE_MAX_CONNECTIONS}",
        ),
    ),
)
_RESULTS = (
    Alarm(
        name="results-memory",
        audience=Audience.TICKET,
        scope=Scope.RESULTS,
        meaning="The cache for results is full: it forgets some before their time.",
        metric=metrics.NODE_MEMORY,
        comparison=Comparison.AT_LEAST,
        threshold=RESULTS_PERCENT,
        # Its policy is volatile-ttl: evictions are how it goes on, so they are no alarm of their own.
        reason="at 100 % it evicts the oldest results; tasks run as before, chords may stay incomplete",
        lasting_seconds=RESULTS_MINUTES * MINUTE,
        says=(f"{RESULTS_PERCENT} % of its memory or more for {RESULTS_MINUTES} minutes.",),
    ),
)
CATALOGUE: Mapping[str, Alarm] = MappingProxyType(
    {alarm.name: alarm for alarm in (*_POOL, *_QUEUE, *_FLEET, *_NODE, *_RESULTS, *_SCALING)}
)


def of(scope: Scope) -> tuple[Alarm, ...]:
    """The alarms that there is one of for each …"""
    return tuple(alarm for alarm in CATALOGUE.values() if alarm.scope is scope)


def of_release(environment: str, manifest: ReleaseManifest) -> list[str]:
    """The names of a release's alarms that are its own doing, which an outage of Redis is not."""
    return [
        names.alarm(environment, alarm.name, where, manifest.release)
        for alarm in CATALOGUE.values()
        if alarm.of_its_release
        for pool in manifest.pools
        if alarm.is_for(pool)
        for where in ((pool.name,) if alarm.scope is Scope.POOL else pool.queues)
    ]
