"""Holds a history to the promises. Pure: what does not hold comes back as sentences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from taskfleet.releases.model import State

from drills.history.outcomes import ACCEPTED, NEVER_INVOKED, REFUSED
from drills.history.program import NO_CAUSES, Fault, PublishKind
from drills.history.record import Broken, Execution, History, Published
from drills.history.stalls import stalled

Task = tuple[int, int]  # the number of the publish, the number of the task in it

# After a fault, messages are given to others within this: a lease of 13 s on Redis, on SQS the 60 s for which
# a received message is hidden; and then they run.
RECOVERY_SECONDS = 75.0
# Without a fault a task begins within this, on a machine that is busy with everything at once.
PROMPT_SECONDS = 20.0
# Workers that begin or end something so often have no slot that idles: what waits behind others is not late.
BUSY_SECONDS = 0.5
# After its end a task is acknowledged within this, if nothing is broken.
ACKNOWLEDGED_SECONDS = 4.0
# An ETA is written in milliseconds, and clocks are read one after the other.
EARLY_SECONDS = 0.1
# A look says when it began; what was accepted a moment before is in it.
ACCEPTED_BEFORE_SECONDS = 1.0
# A producer reads the pointer every five seconds, and a publish may take two.
POINTER_SECONDS = 8.0
# One that has published nothing since its last reading waits 0.2 s for the next; if SSM is slower, what it
# has holds for up to 35 s (`taskfleet.publishing.pointer`), which is less than a release takes to drain.
IDLE_SECONDS, IDLE_POINTER_SECONDS = 5.0, 38.0


def violations(history: History) -> list[str]:
    """What does not hold, as sentences; empty if everything does."""
    runs = _by_task(history.executions)
    return [
        *_lost(history, runs),
        *_run_though_refused(history, runs),
        *_unexplained_duplicates(history, runs),
        *_keys_differ(runs),
        *_out_of_order(history, runs),
        *_bodies(history),
        *_early(history, runs),
        *_late(history, runs),
        *_wrong_release(history, runs),
        *_drained_with_work(history, runs),
        *_releases(history),
        *_left_over(history),
    ]


def _by_task(executions: Sequence[Execution]) -> Mapping[Task, list[Execution]]:
    runs: dict[Task, list[Execution]] = defaultdict(list)
    for execution in sorted(executions, key=lambda each: each.began_at):
        runs[execution.n, execution.task].append(execution)
    return runs


def _ended(runs: Mapping[Task, list[Execution]], task: Task) -> list[float]:
    return sorted(run.ended_at for run in runs.get(task, ()) if run.ended_at is not None)


def _tasks(published: Published) -> Iterator[Task]:
    return ((published.publish.number, task) for task in range(published.publish.tasks))


def _lost(history: History, runs: Mapping[Task, list[Execution]]) -> Iterator[str]:
    for each in history.published:
        if each.outcome != ACCEPTED or each.publish.kind is PublishKind.REVOKED:
            continue
        missing = [task for _, task in _tasks(each) if not _ended(runs, (each.publish.number, task))]
        if missing:
            yield f"lost: {_named(each)} was accepted, and its tasks {missing} never ended"


def _run_though_refused(history: History, runs: Mapping[Task, list[Execution]]) -> Iterator[str]:
    for each in history.published:
        # Of several messages some may have been accepted before one was refused.
        certain = each.outcome == NEVER_INVOKED or (each.outcome == REFUSED and each.publish.tasks == 1)
        if certain and any(runs.get(task) for task in _tasks(each)):
            yield f"run though refused: {_named(each)} was {each.outcome} ({each.why}), and it ran"


def _unexplained_duplicates(history: History, runs: Mapping[Task, list[Execution]]) -> Iterator[str]:
    for each in history.published:
        for task in _tasks(each):
            ends = _ended(runs, task)
            invoked_at = each.invoked_at or 0.0
            until = ends[0] + ACKNOWLEDGED_SECONDS if ends else 0.0
            # The brokers' front is a thread of the process that stood still: they answered nobody meanwhile,
            # and a publish that is not answered in time goes to the other broker under the same id.
            still = stalled(history.stalls, invoked_at, until)
            if len(ends) > 1 and not still and not _causes(history, invoked_at, ends[0]):
                yield f"run again without a cause: {_named(each)}, its task {task[1]} ended {len(ends)} times"


def _causes(history: History, invoked_at: float, first_end: float) -> list[Broken]:
    """Faults between a publish and its task's acknowledgement; a later one explains nothing."""

    def explains(broken: Broken) -> bool:
        after = stalled(history.stalls, first_end, broken.began_at)
        before = stalled(history.stalls, broken.ended_at, invoked_at)
        return (
            broken.began_at <= first_end + ACKNOWLEDGED_SECONDS + after
            and broken.ended_at + ACKNOWLEDGED_SECONDS + before >= invoked_at
        )

    none = NO_CAUSES | {Fault.WORKER_CLOCK}
    return [each for each in history.broken if each.fault not in none and explains(each)]


def _keys_differ(runs: Mapping[Task, list[Execution]]) -> Iterator[str]:
    for (number, task), executions in runs.items():
        keys = {execution.key for execution in executions}
        if len(keys) > 1:
            yield f"effects not once: task {task} of publish {number} ran under the keys {sorted(keys)}"


def _out_of_order(history: History, runs: Mapping[Task, list[Execution]]) -> Iterator[str]:
    for each in history.published:
        number, last = each.publish.number, each.publish.tasks - 1
        if each.publish.kind is PublishKind.CHAIN:
            before: list[tuple[int, Sequence[int]]] = [(task, (task - 1,)) for task in range(1, last + 1)]
        elif each.publish.kind is PublishKind.CHORD:
            before = [(last, tuple(range(last)))]
        else:
            continue
        for task, earlier in before:
            began = [run.began_at for run in runs.get((number, task), ())]
            for one in earlier:
                ends = _ended(runs, (number, one))
                if began and (not ends or ends[0] > min(began)):
                    yield f"out of order: task {task} of {_named(each)} began before task {one} had ended"


def _bodies(history: History) -> Iterator[str]:
    for each in history.published:
        expected = list(range(each.publish.tasks - 1))
        for results in history.bodies.get(each.publish.number, ()):
            if list(results) != expected:
                yield f"chord: the body of {_named(each)} got {list(results)} instead of {expected}"


def _early(history: History, runs: Mapping[Task, list[Execution]]) -> Iterator[str]:
    """A worker whose clock is ahead may think that it is time."""
    stepped = any(broken.fault is Fault.WORKER_CLOCK for broken in history.broken)
    for each in history.published:
        if stepped or not each.publish.delay_seconds or each.invoked_at is None:
            continue
        due = each.invoked_at + each.publish.delay_seconds
        for run in runs.get((each.publish.number, 0), ()):
            if run.began_at < due - EARLY_SECONDS:
                before = due - run.began_at
                yield f"early: {_named(each)} was due at {due:.1f} and began {before:.1f} s before it"


def _late(history: History, runs: Mapping[Task, list[Execution]]) -> Iterator[str]:
    """Seconds when nothing is broken, `RECOVERY_SECONDS` after the last fault otherwise.

    Beside stalls, and the time for which its workers were busy with other tasks.
    """
    for each in history.published:
        if each.outcome != ACCEPTED or each.answered_at is None or each.publish.kind is PublishKind.REVOKED:
            continue
        last = _last_end(runs, each)
        if last is None:
            continue
        run, ended_at = last
        due = each.answered_at + each.publish.delay_seconds
        broken = [b.ended_at for b in history.broken if b.fault not in NO_CAUSES and b.began_at <= ended_at]
        allowed = max([due + PROMPT_SECONDS, *(at + RECOVERY_SECONDS for at in broken)])
        allowed += stalled(history.stalls, each.answered_at, ended_at)
        if ended_at > allowed and ended_at > allowed + _busy(history.executions, run, due, ended_at):
            yield f"late: {_named(each)} was due at {due:.1f} and ended {ended_at - due:.1f} s after it"


def _last_end(runs: Mapping[Task, list[Execution]], one: Published) -> tuple[Execution, float] | None:
    """Of its tasks' first ends the last."""
    ended = [
        min(ends, key=lambda end: end[1])
        for task in _tasks(one)
        if (ends := [(run, run.ended_at) for run in runs.get(task, ()) if run.ended_at is not None])
    ]
    return max(ended, key=lambda end: end[1], default=None)


def _busy(executions: Sequence[Execution], one: Execution, since: float, until: float) -> float:
    """For how many seconds between the two the workers of its broker and release went from task to task."""
    times = {since, until}
    for run in executions:
        if (run.broker, run.release) == (one.broker, one.release):
            times |= {at for at in (run.began_at, run.ended_at) if at is not None and since < at < until}
    steps = sorted(times)
    return sum(b - a for a, b in pairwise(steps) if b - a <= BUSY_SECONDS)


def _wrong_release(history: History, runs: Mapping[Task, list[Execution]]) -> Iterator[str]:
    for each in history.published:
        if each.invoked_at is None:
            continue
        releases = {run.release for task in _tasks(each) for run in runs.get(task, ())}
        until = (each.answered_at or each.invoked_at) + POINTER_SECONDS
        since = each.invoked_at - (IDLE_POINTER_SECONDS if _first(history, each) else POINTER_SECONDS)
        since -= stalled(history.stalls, since, each.invoked_at)
        current = _current(history.pointer, since, until)
        if not releases <= current:
            yield f"wrong release: {_named(each)} ran on {sorted(releases)}, current were {sorted(current)}"
        one_workflow = each.publish.kind is not PublishKind.MANY
        if len(releases) > 1 and each.outcome == ACCEPTED and one_workflow:
            yield f"two releases: the tasks of {_named(each)} ran on {sorted(releases)}"


def _first(history: History, one: Published) -> bool:
    """Whether its producer had published nothing for a while."""
    at = one.invoked_at or 0.0
    same = (each for each in history.published if each.publish.producer == one.publish.producer)
    return not any(at - IDLE_SECONDS <= (each.invoked_at or 0.0) < at for each in same)


def _current(pointer: Sequence[tuple[float, str]], since: float, until: float) -> set[str]:
    """The releases that were current at some moment between the two times."""
    found = set()
    for index, (at, release) in enumerate(pointer):
        end = pointer[index + 1][0] if index + 1 < len(pointer) else float("inf")
        if at <= until and end >= since:
            found.add(release)
    return found


def _drained_with_work(history: History, runs: Mapping[Task, list[Execution]]) -> Iterator[str]:
    """What had been accepted before a look must have ended when that look calls its release drained."""
    for at, release in history.releases.drained if history.releases else ():
        for each in history.published:
            if each.answered_at is None or each.answered_at > at - ACCEPTED_BEFORE_SECONDS:
                continue
            first = (runs[task][0] for task in _tasks(each) if runs.get(task))
            late = [run.task for run in first if run.release == release and run.began_at > at]
            if late and each.outcome == ACCEPTED:
                yield f"drained with work: {release}, before the tasks {late} of {_named(each)} began"


def _releases(history: History) -> Iterator[str]:
    if (seen := history.releases) is None:
        return
    if seen.published != seen.current:
        yield f"producers are told {seen.published}, and {seen.current} is current"
    for release, state in seen.states.items():
        # One that was never current waits for it in `gating`, with its gate behind it.
        others = (State.GATING, State.DRAINING, State.DRAINED)
        if state not in ((State.CURRENT,) if release == seen.current else others):
            yield f"release {release} is {state}, and {seen.current} is current"


def _left_over(history: History) -> Iterator[str]:
    for what, count in history.left.items():
        if count:
            yield f"left over: {count} {what}"
    for dead_letter in history.dead_letters:
        yield f"dead letter: {dead_letter}"


def _named(each: Published) -> str:
    publish = each.publish
    return f"publish {publish.number} ({publish.kind}, {publish.queue}, producer {publish.producer})"
