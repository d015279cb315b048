"""The steps of every pool's scaling policies: the CDK deploys them, the simulator runs them."""

from __future__ import annotations

from dataclasses import dataclass

# None: the gap of a look after a change is 0, so what the alarm sees next has taken the change into account.
OUT_COOLDOWN_SECONDS = 0
# CloudWatch repeats an alarm's scaling action once a minute, so a longer cooldown than this only
# matters where the pool asks for a shorter one.
IN_COOLDOWN_SECONDS = 60

# What a policy may have (Application Auto Scaling's quota "step adjustments per step scaling policy").
MOST_STEPS = 20


@dataclass(frozen=True)
class Step:
    """Add ``adjustment`` when the metric is in [lower, upper), both counted from the alarm's threshold.

    Below a threshold it is (lower, upper].
    """

    lower: float | None
    upper: float | None
    adjustment: int


def steps_at(most: int) -> tuple[int, ...]:
    """Gaps at which a step begins, each of which adds (or takes away) as many: every one while they are
    small, then ever wider, up to the ``most`` that may be missing.
    """
    found = [1]
    while found[-1] < most:
        left = MOST_STEPS - len(found)
        ratio = (most / found[-1]) ** (1 / left) if left else float(most)
        found.append(min(most, max(found[-1] + 1, round(found[-1] * ratio))))
    return tuple(found)


def out_steps(most: int) -> tuple[Step, ...]:
    """For the alarm whose threshold is a gap of 1."""
    at = steps_at(most)
    return tuple(
        Step(n - 1, None if m is None else m - 1, n) for n, m in zip(at, (*at[1:], None), strict=True)
    )


def in_steps(most: int) -> tuple[Step, ...]:
    """For the alarm whose threshold is a gap of -1."""
    at = steps_at(most)
    return tuple(
        Step(None if m is None else 1 - m, 1 - n, -n) for n, m in zip(at, (*at[1:], None), strict=True)
    )


def in_cooldown_seconds(scale_in_after_seconds: int) -> int:
    """Of a pool's scale-in policy."""
    return min(scale_in_after_seconds, IN_COOLDOWN_SECONDS)
