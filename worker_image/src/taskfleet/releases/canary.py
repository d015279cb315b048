"""A release in its canary: a share of publishes goes to it, and it is compared with the current one. Pure.

The comparison is looked at again and again, and would sooner or later reject any release by chance: a fifth
of `taskfleet.releases.comparing.FALSE_ALARMS` is for the looks before the end, shared out among them, and the
rest for the last.
"""

from __future__ import annotations

from collections.abc import Iterator

from taskfleet.releases.actions import Action, EndCanary, Move, Promote
from taskfleet.releases.comparing import FALSE_ALARMS
from taskfleet.releases.gating import gone, other_image, reused
from taskfleet.releases.model import Record, State
from taskfleet.releases.observation import Observation, Rules

# Of its time: so long it waits for runs to compare, and for Redis to tell of them.
AT_MOST = 2
BEFORE_THE_END = 0.2


def canary(record: Record, seen: Observation, rules: Rules, overtakes: Record | None) -> Iterator[Action]:
    """What comes next of it. ``overtakes``: a release that was deployed later and may become current, too."""
    name = record.release
    if seen.pointer.release == name:
        yield Move(name, State.CURRENT, "the pointer names it")
    elif seen.pointer.canary != name:
        yield Move(name, State.DRAINING, f"its canary has ended: release {seen.pointer.release} is current")
    elif seen.manifests is not None and name not in seen.manifests:
        yield EndCanary(name, gone(record), rejected=False)
    elif other_image(record, seen):
        yield EndCanary(name, reused(record, seen), rejected=True)
    elif overtakes is not None and overtakes.registered_at > record.registered_at:
        yield EndCanary(name, f"release {overtakes.release} was deployed meanwhile", rejected=False)
    elif record.paused is None:
        yield from _judged(record, seen, rules)


def _judged(record: Record, seen: Observation, rules: Rules) -> Iterator[Action]:
    name, wanted, found = record.release, record.manifest.canary, seen.comparisons.get(record.release)
    stands = name in (seen.manifests or {})
    if wanted is None:
        if stands:
            yield Promote(name, "its stack was deployed again without a canary")
        return
    took, latest = seen.now - record.since, AT_MOST * wanted.seconds
    enough = found is not None and found.runs >= wanted.runs
    last = took >= latest or (took >= wanted.seconds and enough)
    worse = None if found is None else found.worse(alpha(wanted.seconds, rules, last=last))
    if worse is not None:
        yield EndCanary(name, f"it failed its canary: {worse}", rejected=True)
    elif last and found is None:
        reason = f"it failed its canary: Redis did not tell within {latest} s how its tasks did"
        yield EndCanary(name, reason, rejected=True)
    elif last and stands:
        few = "" if enough else "with too few runs to compare: "
        yield Promote(name, f"its canary has passed: {few}{found}")


def alpha(seconds: float, rules: Rules, *, last: bool) -> float:
    """The probability below which a look takes the release for worse, so that all looks keep to the whole."""
    if last:
        return FALSE_ALARMS * (1 - BEFORE_THE_END)
    return FALSE_ALARMS * BEFORE_THE_END / max(1.0, AT_MOST * seconds / rules.look_seconds)
