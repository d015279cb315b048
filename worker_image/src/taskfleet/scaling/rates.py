"""What a queue's counts say over time: how fast tasks arrive, how sure that is, and how long one runs."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, sqrt

# Arrivals: the fast average follows a step within a minute, the slow one is steady.
FAST_SECONDS, SLOW_SECONDS = 30.0, 300.0
# Run time by Little's law. The long average is of a few hundred tasks, or of the few that are very long; the
# short one sees within a minute that a service behind the tasks has become slow.
RUN_SECONDS, RUN_NOW_SECONDS = 300.0, 30.0
# From fewer ended tasks than this no run time is taken.
ENOUGH = 5.0
SHORTEST_RUN_SECONDS = 0.001
# A look that is farther off than so many standard deviations counts as this far: a fan-out is no new normal.
FARTHEST = 4.0
# What is beyond so many standard deviations is no chance.
SURE = 2.0


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A queue at one look; ``fetched`` counts what workers have taken since some beginning."""

    at: float
    waiting: int
    busy: int
    fetched: int


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Arrivals in tasks a second: of the last look, of half a minute, of five; each with its standard error.

    ``run_seconds``: how long a task keeps a slot.
    """

    last: float
    fast: float
    slow: float
    last_error: float
    fast_error: float
    slow_error: float
    run_seconds: float

    @property
    def rate(self) -> tuple[float, float]:
        """The arrivals and their error: the slow average's, unless the fast one is surely another."""
        if abs(self.fast - self.slow) > SURE * self.fast_error:
            return self.fast, self.fast_error
        return self.slow, self.slow_error

    @property
    def at_least(self) -> float:
        """Arrivals that are surely reached now, whatever the averages still say."""
        return max(self.rate[0], self.fast - SURE * self.fast_error, self.last - SURE * self.last_error)


@dataclass(frozen=True)
class _Mean:
    """An average over time in which what happened ``seconds`` ago weighs 1/e."""

    amount: float = 0.0
    time: float = 0.0

    def after(self, amount: float, time: float, seconds: float) -> _Mean:
        keep = exp(-time / seconds)
        return _Mean(self.amount * keep + amount, self.time * keep + time)

    @property
    def rate(self) -> float:
        return self.amount / self.time if self.time else 0.0


@dataclass(frozen=True)
class Rates:
    """Averages up to the last look. Nothing is known before the second one."""

    counted: Counted | None = None
    _last: float = 0.0
    _step: float = 0.0  # seconds between the last two looks
    _fast: _Mean = _Mean()
    _slow: _Mean = _Mean()
    _spread: _Mean = _Mean()  # variance of arrivals, a second
    _held: _Mean = _Mean()  # slot-seconds
    _ended: _Mean = _Mean()
    _held_now: _Mean = _Mean()
    _ended_now: _Mean = _Mean()

    def after(self, now: Counted) -> Rates:
        """With one look more. Counts that went back (a broker that is new) begin anew."""
        before = self.counted
        if before is None or now.fetched < before.fetched:
            return Rates(now)
        if now.at <= before.at:
            return self
        step, fetched = now.at - before.at, now.fetched - before.fetched
        arrived = float(max(0, fetched + now.waiting - before.waiting))
        ended = max(0, fetched + before.busy - now.busy)
        held = (now.busy + before.busy) / 2 * step
        usual, spread, far = arrived, self._variance, 0.0
        if self._step:
            deviation = sqrt(spread * step)
            usual = min(arrived, self._slow.rate * step + FARTHEST * deviation)
            # Of two looks in a row, so that neither a step nor a slope counts as chance.
            far = min(abs(arrived - self._last * step), FARTHEST * sqrt(2) * deviation)
        return Rates(
            now,
            arrived / step,
            step,
            self._fast.after(arrived, step, FAST_SECONDS),
            self._slow.after(usual, step, SLOW_SECONDS),
            self._spread.after(far * far / 2, step, SLOW_SECONDS),
            self._held.after(held, step, RUN_SECONDS),
            self._ended.after(ended, step, RUN_SECONDS),
            self._held_now.after(held, step, RUN_NOW_SECONDS),
            self._ended_now.after(ended, step, RUN_NOW_SECONDS),
        )

    @property
    def arrivals(self) -> float | None:
        """Tasks a second over half a minute; None before the second look."""
        return self._fast.rate if self._step else None

    @property
    def completions(self) -> float | None:
        """As `arrivals`: those that came to an end, or went back to wait for their ETA."""
        return self._ended_now.rate if self._step else None

    @property
    def _variance(self) -> float:
        """Of arrivals in a second; that of independent ones at least."""
        return max(self._spread.rate, self._slow.rate)

    @property
    def flow(self) -> Flow | None:
        """None until enough tasks have ended."""
        run, spread = self._run_seconds, self._variance
        if run is None:
            return None
        return Flow(
            last=self._last,
            fast=self._fast.rate,
            slow=self._slow.rate,
            last_error=sqrt(spread / self._step),
            fast_error=sqrt(spread / (2 * FAST_SECONDS)),
            slow_error=sqrt(spread / (2 * SLOW_SECONDS)),
            run_seconds=run,
        )

    @property
    def _run_seconds(self) -> float | None:
        if self._ended.amount < ENOUGH:
            return None
        # Of tasks so short that no look met one running nothing more is known than that.
        run = max(SHORTEST_RUN_SECONDS, self._held.amount / self._ended.amount)
        ended = self._ended_now.amount
        if ended < ENOUGH:
            return run
        surely_now = self._held_now.amount / ended * (1 - min(1.0, SURE / sqrt(ended)))
        return max(run, surely_now)
