"""Whether a release in its canary does worse than the current one. Pure.

Two tests, each one-sided, and each task of each queue compared with itself (stratified), since a release's
tasks differ more among each other than from those of the next release:

- **Failures.** A run is bad if it failed, is to be retried, was rejected or lost its process. With as many
  bad runs as both releases had of a task, how many of them are green's by chance is hypergeometric (Fisher's
  exact test); the sum over tasks is the convolution, so few runs and rare failures are no matter. Green is
  worse if so many or more have a probability below alpha, and if it has `MORE_FAILURES` times as many as blue
  would have had of the same tasks.
- **Run time.** Van Elteren's test: Wilcoxon's rank sums of each task, on the histograms' buckets (with ties),
  weighed by 1/(N+1). Green is slower if its rank sums have a probability below alpha, and if it takes
  `SLOWER` times as long and `SLOWER_SECONDS` longer (geometric means).

Both demand that runs are independent of each other, which those of one workflow are not: five that fail
together are one failure. How much more blue's bad runs scatter from minute to minute than independent ones
would says by how much there are fewer; both releases' counts are taken so much smaller for the first test.
`MORE_FAILURES` and `SLOWER` keep what is significant and small from counting, and `SLOWER_SECONDS` what a
busy machine adds to each task of a few milliseconds. ``make bench BENCH=canary`` measures the false alarms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from taskfleet.measuring.histogram import bound

# Of all canaries whose release is as good as the one before, at most so many are rejected.
FALSE_ALARMS = 0.001
MORE_FAILURES = 1.25
SLOWER = 1.25
SLOWER_SECONDS = 0.005

Key = tuple[str, str]  # logical queue, task name

_NEGLIGIBLE = 1e-18
# Until so many minutes (of tasks) tell how much bad runs scatter, so much is assumed.
_LEAST_FREEDOM, _ASSUMED = 10, 5.0


@dataclass(frozen=True)
class Runs:
    """Of one task in one queue: how many, how many of them bad, and their run times by bucket.

    Buckets are numbers, `PER_DOUBLING` of them for each doubling (`taskfleet.measuring.histogram`).
    ``minutes`` are the runs, and the bad ones, of each minute, where that is told.
    """

    runs: int
    bad: int
    times: Mapping[int, int] = field(default_factory=dict)
    minutes: tuple[tuple[int, int], ...] = ()


Release = Mapping[Key, Runs]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Green and blue, of the tasks that both have run.

    ``expected`` are the bad runs that blue would have had of green's tasks, ``slower`` is green's run time in
    blue's, ``longer_seconds`` what it takes more. ``by_chance`` and ``slower_by_chance`` are the
    probabilities of the same or more where both are equal. ``worst`` is the task with the most bad runs over
    what was expected.
    """

    runs: int
    blue_runs: int
    bad: int
    expected: float
    by_chance: float
    slower: float
    longer_seconds: float
    slower_by_chance: float
    worst: str = ""

    def worse(self, alpha: float) -> str | None:
        """Why green is worse, in words; None if it is not, at this probability of an error."""
        alpha /= 2  # two tests
        if self.by_chance < alpha and self.bad >= MORE_FAILURES * self.expected:
            return (
                f"more of its tasks fail: {self.bad} of {self.runs} runs, {self.expected:.1f} at the current "
                f"release's rates; most of all {self.worst}"
            )
        long = self.slower >= SLOWER and self.longer_seconds >= SLOWER_SECONDS
        if self.slower_by_chance < alpha and long:
            return (
                f"its tasks take {self.slower:.2f} times as long ({self.runs} runs, {self.bad} of them bad, "
                f"{self.expected:.1f} at the current release's rates)"
            )
        return None

    def __str__(self) -> str:
        if not self.runs:
            return "no run of a task that both releases have"
        return (
            f"{self.runs} runs, {self.bad} of them bad ({self.expected:.1f} in the current release), "
            f"{self.slower:.2f} times as long"
        )


def compare(green: Release, blue: Release) -> Comparison:
    """Of the tasks that both have run; others say nothing."""
    tasks = sorted(key for key in green.keys() & blue.keys() if green[key].runs and blue[key].runs)
    pairs = [(green[key], blue[key]) for key in tasks]
    expected = [g.runs * b.bad / b.runs for g, b in pairs]
    excess = [(g.bad - due, key[1]) for key, (g, _), due in zip(tasks, pairs, expected, strict=True)]
    slower, longer_seconds, slower_by_chance = _slower(pairs)
    return Comparison(
        runs=sum(g.runs for g, _ in pairs),
        blue_runs=sum(b.runs for _, b in pairs),
        bad=sum(g.bad for g, _ in pairs),
        expected=sum(expected),
        by_chance=_by_chance(pairs, _scatter([b for _, b in pairs])),
        slower=slower,
        longer_seconds=longer_seconds,
        slower_by_chance=slower_by_chance,
        worst=max(excess)[1] if excess else "",
    )


def _scatter(blue: Sequence[Runs]) -> float:
    """The variance of bad runs in a minute, in that of independent ones: its upper limit, roughly."""
    if not any(task.minutes for task in blue):
        return 1.0
    squares, freedom = 0.0, 0
    for task in blue:
        share = task.bad / task.runs
        counted = [(runs, bad) for runs, bad in task.minutes if runs]
        if 0 < share < 1 and counted:
            squares += sum((b - n * share) ** 2 / (n * share * (1 - share)) for n, b in counted)
            freedom += len(counted) - 1
    if freedom < _LEAST_FREEDOM:
        return _ASSUMED
    return max(1.0, squares / freedom * (1 + 2 * math.sqrt(2 / freedom)))


def _by_chance(pairs: Sequence[tuple[Runs, Runs]], scatter: float) -> float:
    """The probability of so many bad runs in green, or more, if bad runs fall on either alike."""
    first, chances, left = 0, [1.0], 0.0
    for green, blue in pairs:
        drawn, others = (max(1, round(each.runs / scatter)) for each in (green, blue))
        bad = (green.bad + blue.bad) / scatter + left
        whole = min(round(bad), drawn + others)
        left = bad - whole
        least, of_one = _hypergeometric(drawn + others, whole, drawn)
        first, chances = _trimmed(first + least, _convolved(chances, of_one))
    seen = math.floor(sum(green.bad for green, _ in pairs) / scatter)
    return min(1.0, math.fsum(chances[max(0, seen - first) :])) if seen < first + len(chances) else 0.0


def _hypergeometric(total: int, bad: int, drawn: int) -> tuple[int, list[float]]:
    """The least number of bad ones among ``drawn``, and the probabilities of it and of the next ones."""
    least, most = max(0, bad + drawn - total), min(bad, drawn)
    mode = min(most, max(least, (bad + 1) * (drawn + 1) // (total + 2)))
    at_mode = math.exp(_choose(bad, mode) + _choose(total - bad, drawn - mode) - _choose(total, drawn))
    up = list(_onwards(at_mode, range(mode, most), lambda k: _step(total, bad, drawn, k)))
    down = list(_onwards(at_mode, range(mode - 1, least - 1, -1), lambda k: 1 / _step(total, bad, drawn, k)))
    return mode - len(down), [*reversed(down), at_mode, *up]


def _step(total: int, bad: int, drawn: int, k: int) -> float:
    """From the probability of ``k`` bad ones to that of one more."""
    return (bad - k) * (drawn - k) / ((k + 1) * (total - bad - drawn + k + 1))


def _onwards(value: float, numbers: range, factor: Callable[[int], float]) -> Iterator[float]:
    for number in numbers:
        value *= factor(number)
        if value < _NEGLIGIBLE:
            return
        yield value


def _choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _convolved(one: Sequence[float], other: Sequence[float]) -> list[float]:
    found = [0.0] * (len(one) + len(other) - 1)
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            found[i + j] += a * b
    return found


def _trimmed(first: int, chances: list[float]) -> tuple[int, list[float]]:
    """Without the ends that are negligible."""
    kept = [place for place, chance in enumerate(chances) if chance >= _NEGLIGIBLE]
    return first + kept[0], chances[kept[0] : kept[-1] + 1]


def _slower(pairs: Sequence[tuple[Runs, Runs]]) -> tuple[float, float, float]:
    """How many times as long green takes, how many seconds longer, and the chance of that."""
    excess = variance = logs = seconds = weights = 0.0
    for green, blue in pairs:
        n, m = sum(green.times.values()), sum(blue.times.values())
        if not n or not m:
            continue
        ranks, ties = _ranks(green.times, blue.times)
        total = n + m
        weight = 1 / (total + 1)
        excess += weight * (sum(ranks[b] * count for b, count in green.times.items()) - n * (total + 1) / 2)
        spread = total + 1 - ties / (total * (total - 1))
        variance += weight**2 * n * m / 12 * spread
        share = n * m / total
        logs += share * (_mean(green.times) - _mean(blue.times))
        seconds += share * (bound(_mean(green.times)) - bound(_mean(blue.times)))
        weights += share
    if not variance:
        return 1.0, 0.0, 1.0
    chance = math.erfc(excess / math.sqrt(2 * variance)) / 2
    return bound(logs / weights) / bound(0), seconds / weights, chance


def _ranks(one: Mapping[int, int], other: Mapping[int, int]) -> tuple[dict[int, float], float]:
    """The mean rank of each bucket, and the sum of t³ - t over what is tied in one."""
    ranks, below, ties = {}, 0, 0.0
    for bucket in sorted(one.keys() | other.keys()):
        many = one.get(bucket, 0) + other.get(bucket, 0)
        ranks[bucket] = below + (many + 1) / 2
        below += many
        ties += float(many) ** 3 - many
    return ranks, ties


def _mean(times: Mapping[int, int]) -> float:
    return sum(bucket * count for bucket, count in times.items()) / sum(times.values())
