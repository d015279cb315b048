"""A release that has just become current: if its own alarms ring, producers go back by themselves. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from taskfleet.releases.actions import Action, EndBake, RollBack
from taskfleet.releases.model import Record
from taskfleet.releases.observation import Observation

# Of its time: so long it waits for alarms whose state is not known, or that ring since before it was current.
AT_MOST = 2


def bakes(record: Record) -> bool:
    """Whether its alarms still decide about it."""
    return record.goes_back_to is not None


def bake(record: Record, seen: Observation) -> Iterator[Action]:
    """What comes next of the current release; nothing while a person has paused it."""
    if not bakes(record) or record.paused is not None:
        return
    name, alarms, seconds = record.release, seen.alarms.get(record.release), record.manifest.bake_seconds
    took = seen.now - record.since
    late = took >= AT_MOST * seconds
    ringing = () if alarms is None else (*alarms.ringing, *(alarms.before if late else ()))
    unsure = alarms is None or bool(alarms.unknown or alarms.before)
    if ringing and (back := _warm(record, seen)):
        said = ", ".join(ringing)
        yield RollBack(name, back, f"release {name} failed its bake: in ALARM: {said}")
    elif took < seconds or (unsure and not late):
        return
    elif ringing:
        yield EndBake(name, f"its bake is over, in ALARM: {', '.join(ringing)}; {_nowhere(record)}")
    elif unsure:
        which = "its alarms" if alarms is None else ", ".join(alarms.unknown)
        yield EndBake(name, f"its bake is over, and the state of {which} was not known in {took:.0f} s")
    else:
        yield EndBake(name, "its bake is over: none of its alarms rang")


def _warm(record: Record, seen: Observation) -> str | None:
    """The release to go back to, if it can be gone back to."""
    back = seen.records.get(record.goes_back_to or "")
    stands = back is not None and back.release in (seen.manifests or {})
    return back.release if back is not None and back.ready and stands else None


def _nowhere(record: Record) -> str:
    return f"release {record.goes_back_to} can't be gone back to"


def stuck(record: Record, seen: Observation) -> Iterator[str]:
    """What a person must know: it should go back, and can't."""
    alarms = seen.alarms.get(record.release)
    if bakes(record) and alarms is not None and alarms.ringing and _warm(record, seen) is None:
        yield (
            f"release {record.release} fails its bake (in ALARM: {', '.join(alarms.ringing)}), and "
            f"{_nowhere(record)}: mend it with a new release, or promote one that is warm"
        )
