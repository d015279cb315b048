"""What others ship, as their documentation describes it, each with what can be tuned in it.

All of them scale the same ECS service, with the same start-up and the same stop window, and none protects a
busy worker, since none of them does.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from taskfleet.simulation.engine import Fleet

# From a decision to ECS's new desired count: a call, and what ECS takes for it.
CALL_SECONDS = (1.0, 3.0)
# SQS and custom metrics of a minute arrive after the minute's end.
MINUTE, METRIC_LAG_SECONDS = 60.0, 15.0


def _ask(fleet: Fleet, workers: int) -> None:
    fleet.at(fleet.now + fleet.random.uniform(*CALL_SECONDS), lambda: fleet.set_desired(workers))


@dataclass(frozen=True, kw_only=True)
class QueueProcessing:
    """CDK's QueueProcessingFargateService: steps on the visible messages (its CPU tracking left out: tasks
    that wait for something else use little).

    Defaults: periods of five minutes, 0 → -1, 100 → +1, 500 → +5 (`aws-ecs-patterns`,
    queue-processing-service-base), the step policy's cooldown of five minutes.
    """

    period: float = 300.0
    cooldown: float = 300.0
    steps: tuple[tuple[int, int], ...] = ((500, 5), (100, 1))

    def drive(self, fleet: Fleet, mean_run_seconds: float) -> None:
        """Attach it."""
        acted = -math.inf
        sums: list[int] = []

        def minute() -> None:
            if not fleet.metrics_lost():
                sums.append(fleet.see().waiting)

        def period() -> None:
            nonlocal acted
            if not sums:
                return
            value = sum(sums) / len(sums)
            sums.clear()
            if fleet.now - acted < self.cooldown:
                return
            change = next((add for at, add in self.steps if value >= at), -1 if value <= 0 else 0)
            if change:
                acted = fleet.now
                _ask(fleet, fleet.desired + change)

        fleet.every(fleet.random.uniform(0, MINUTE), MINUTE, minute)
        fleet.every(self.period + METRIC_LAG_SECONDS, self.period, period)


@dataclass(frozen=True, kw_only=True)
class BacklogPerTask:
    """AWS's recommendation: target tracking on the visible messages for each running task.

    The target is the acceptable latency by the mean run time, times a task's slots. Target tracking's
    alarms: above it for three minutes, below nine tenths of it for fifteen; cooldowns of five minutes.
    """

    out_minutes: int = 3
    in_minutes: int = 15
    cooldown: float = 300.0
    share: float = 1.0  # of the target that a team may set lower, to have room

    def drive(self, fleet: Fleet, mean_run_seconds: float) -> None:
        """Attach it."""
        target = self.share * fleet.service.slots * fleet.service.target_seconds / mean_run_seconds
        values: deque[float] = deque(maxlen=self.in_minutes)
        out_at = in_at = -math.inf

        def minute() -> None:
            nonlocal out_at, in_at
            if fleet.metrics_lost():
                return
            seen = fleet.see()
            values.append(seen.waiting / max(1, seen.running))
            recent = list(values)[-self.out_minutes :]
            if len(recent) == self.out_minutes and all(value > target for value in recent):
                wanted = math.ceil(seen.running * recent[-1] / target)
                if wanted > fleet.desired or fleet.now - out_at >= self.cooldown:
                    out_at = fleet.now
                    _ask(fleet, max(wanted, fleet.desired))
            elif (
                len(values) == self.in_minutes
                and all(value < 0.9 * target for value in values)
                and fleet.now - max(out_at, in_at) >= self.cooldown
            ):
                in_at = fleet.now
                wanted = math.ceil(fleet.desired * max(values) / target)
                # Target tracking gives back gradually; at most a tenth at a time keeps it from falling.
                _ask(fleet, max(wanted, fleet.desired - max(1, fleet.desired // 10)))

        fleet.every(fleet.random.uniform(0, MINUTE) + METRIC_LAG_SECONDS, MINUTE, minute)


@dataclass(frozen=True, kw_only=True)
class Keda:
    """``ceil((waiting + running) / slots)``, Airflow's formula, through KEDA and a HorizontalPodAutoscaler.

    Defaults: KEDA polls every 30 s, the autoscaler syncs every 15 s, gives back what was too much for
    300 s, ignores a tenth, and adds the more of four or as many as there are every 15 s.
    """

    poll: float = 30.0
    stabilization: float = 300.0
    busy_share: float = 1.0  # of its slots that a worker shall have busy

    def drive(self, fleet: Fleet, mean_run_seconds: float) -> None:
        """Attach it."""
        wanted = fleet.desired
        before: deque[tuple[float, int]] = deque()

        def poll() -> None:
            nonlocal wanted
            if not fleet.metrics_lost():
                seen = fleet.see()
                wanted = math.ceil((seen.waiting + seen.busy) / (fleet.service.slots * self.busy_share))

        def sync() -> None:
            if fleet.metrics_lost():
                return
            asked = fleet.desired if abs(wanted / fleet.desired - 1) <= 0.1 else wanted
            before.append((fleet.now, asked))
            while before[0][0] < fleet.now - self.stabilization:
                before.popleft()
            most = max(each for _, each in before)
            if asked > fleet.desired:
                _ask(fleet, min(asked, fleet.desired + max(4, fleet.desired)))
            elif most < fleet.desired:
                _ask(fleet, most)

        fleet.every(fleet.random.uniform(0, self.poll), self.poll, poll)
        fleet.every(fleet.random.uniform(0, 15.0), 15.0, sync)


@dataclass(frozen=True, kw_only=True)
class OldestAge:
    """As Judoscale does it: one more when the oldest message of a ten-second metric is too old, one less
    when none has been for ten minutes; its up-scales a minute apart.
    """

    above: float = 20.0
    below: float = 5.0
    jump: int = 1
    up_every: float = 60.0
    down_after: float = 600.0

    def drive(self, fleet: Fleet, mean_run_seconds: float) -> None:
        """Attach it."""
        up_at, above_at = -math.inf, 0.0

        def look() -> None:
            nonlocal up_at, above_at
            if fleet.metrics_lost():
                return
            age = fleet.see().oldest_age
            if age > self.below:
                above_at = fleet.now
            if age > self.above:
                if fleet.now - up_at >= self.up_every:
                    up_at = fleet.now
                    _ask(fleet, fleet.desired + self.jump)
            elif fleet.now - above_at >= self.down_after:
                above_at = fleet.now
                _ask(fleet, fleet.desired - 1)

        fleet.every(fleet.random.uniform(0, 10.0), 10.0, look)


@dataclass(frozen=True, kw_only=True)
class Laravel:
    """Laravel Queue Autoscale: the most of Little's law, the rate's forecast, and draining the backlog once
    half of the pick-up time is used; evaluated every 5 s, a minute between changes.

    Its workers have one slot each; here four make a worker.
    """

    evaluate: float = 5.0
    cooldown: float = 60.0
    breach: float = 0.5

    def drive(self, fleet: Fleet, mean_run_seconds: float) -> None:
        """Attach it."""
        history: deque[tuple[float, int, int, int]] = deque()
        changed = -math.inf
        run = mean_run_seconds

        def evaluate() -> None:
            nonlocal changed, run
            if fleet.metrics_lost():
                return
            seen = fleet.see()
            history.append((seen.now, seen.arrived, seen.finished, seen.busy))
            while history[0][0] < seen.now - 60:
                history.popleft()
            begin, arrived, finished, _ = history[0]
            if seen.now - begin < 30 or fleet.now - changed < self.cooldown:
                return
            passed = seen.now - begin
            rate = (seen.arrived - arrived) / passed
            if seen.finished > finished:
                run = sum(each[3] for each in history) / len(history) * passed / (seen.finished - finished)
            half = history[len(history) // 2]
            late = (seen.arrived - half[1]) / max(1.0, seen.now - half[0])
            forecast = max(0.0, late + (late - rate))
            slots = max(rate * run, forecast * run)
            limit = fleet.service.target_seconds
            if seen.oldest_age >= self.breach * limit:
                left = limit - seen.oldest_age
                slots = max(slots, seen.waiting / max(left / run, 1.0) if left > 0 else float(seen.waiting))
            wanted = math.ceil(slots / fleet.service.slots)
            if wanted != fleet.desired:
                changed = fleet.now
                _ask(fleet, wanted)

        fleet.every(fleet.random.uniform(0, self.evaluate), self.evaluate, evaluate)


Peer = QueueProcessing | BacklogPerTask | Keda | OldestAge | Laravel

SHIPPED: dict[str, Peer] = {
    "CDK QueueProcessing": QueueProcessing(),
    "AWS backlog per task": BacklogPerTask(),
    "KEDA / Airflow": Keda(),
    "Judoscale": OldestAge(),
    "Laravel Queue Autoscale": Laravel(),
}
# What is tried of each; `benchmarks.autoscale.tune` says which is best.
TRIED: dict[str, tuple[Peer, ...]] = {
    "CDK QueueProcessing": tuple(
        QueueProcessing(period=MINUTE, cooldown=cooldown, steps=steps)
        for cooldown in (60.0, 120.0)
        for steps in (
            ((500, 5), (100, 1)),
            ((500, 8), (100, 4), (20, 2), (5, 1)),
            ((1000, 16), (100, 8), (20, 4), (2, 1)),
        )
    ),
    "AWS backlog per task": tuple(
        BacklogPerTask(out_minutes=out, cooldown=cooldown, share=share)
        for out in (1, 3)
        for cooldown in (60.0, 120.0)
        for share in (0.1, 0.3, 1.0)
    ),
    "KEDA / Airflow": tuple(
        Keda(poll=poll, stabilization=stabilization, busy_share=share)
        for poll in (5.0,)
        for stabilization in (60.0, 120.0, 300.0, 600.0)
        for share in (0.7, 0.85, 1.0)
    ),
    "Judoscale": tuple(
        OldestAge(above=above, below=below, jump=jump, up_every=every, down_after=after)
        for above, below in ((5.0, 1.0), (15.0, 5.0))
        for jump in (1, 3, 6)
        for every in (20.0, 60.0)
        for after in (60.0, 300.0)
    ),
    "Laravel Queue Autoscale": tuple(
        Laravel(cooldown=cooldown, breach=breach)
        for cooldown in (5.0, 15.0, 30.0, 60.0)
        for breach in (0.1, 0.3, 0.5)
    ),
}
# What was best (`benchmarks.autoscale.tune`).
TUNED: dict[str, Peer] = {
    "CDK QueueProcessing": QueueProcessing(
        period=60.0, cooldown=120.0, steps=((500, 8), (100, 4), (20, 2), (5, 1))
    ),
    "AWS backlog per task": BacklogPerTask(out_minutes=1, cooldown=120.0, share=0.3),
    "KEDA / Airflow": Keda(poll=5.0, stabilization=120.0),
    "Judoscale": OldestAge(above=5.0, below=1.0, jump=3, up_every=20.0, down_after=60.0),
    "Laravel Queue Autoscale": Laravel(cooldown=5.0, breach=0.3),
}
