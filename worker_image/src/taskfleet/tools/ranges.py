"""What a chunked run goes over: a place in it is plain JSON, and the next place follows from it alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

Place = dict[str, Any]


def integers(first: int, last: int, *, size: int) -> Place:
    """From ``first`` to ``last``, both included: a chunk gets its first and its last."""
    _check(size >= 1, f"size={size}: a chunk has 1 integer at least")
    return {"over": "integers", "at": first, "last": last, "size": size}


def dates(first: date, last: date, *, days: int = 1) -> Place:
    """From ``first`` to ``last``, both included: a chunk gets its first and its last."""
    _check(days >= 1, f"days={days}: a chunk has 1 day at least")
    _check(not isinstance(first, datetime) and not isinstance(last, datetime), "moments: use datetimes()")
    return {"over": "dates", "at": first.isoformat(), "last": last.isoformat(), "days": days}


def datetimes(first: datetime, end: datetime, *, step: timedelta) -> Place:
    """From ``first`` up to ``end``, which is not included: a chunk gets its first moment and its end.

    Both are aware or both are naive. A step is that much time, also where clocks change.
    """
    _check(step > timedelta(0), f"step={step}: it must be more than nothing")
    _check((first.tzinfo is None) == (end.tzinfo is None), "first and end are both aware, or both naive")
    return {"over": "datetimes", "at": _text(first), "end": _text(end), "seconds": step.total_seconds()}


def cursor(value: Any) -> Place:
    """From ``value`` on: a chunk gets the cursor, and returns the next one, or None at the end.

    The cursor is what JSON can hold: the last id that was read, a page's token.
    """
    return {"over": "cursor", "at": value}


def chunk(place: Place) -> tuple[tuple[Any, ...], Place | None]:
    """The arguments of the chunk at this place, and the place after it; None after the last.

    The place after a cursor is what the chunk returns: `following`.
    """
    return _KINDS[place["over"]](place)


def is_empty(place: Place) -> bool:
    """Whether there is nothing to go over."""
    if place["over"] == "datetimes":
        return datetime.fromisoformat(place["at"]) >= datetime.fromisoformat(place["end"])
    return bool("last" in place and place["at"] > place["last"])  # dates as ISO text sort as dates


def following(place: Place, planned: Place | None, returned: Any) -> Place | None:
    """The place after a chunk that returned this."""
    if place["over"] != "cursor":
        return planned
    return None if returned is None else {**place, "at": returned}


def _integers(place: Place) -> tuple[tuple[int, int], Place | None]:
    first = place["at"]
    last = min(first + place["size"] - 1, place["last"])
    return (first, last), {**place, "at": last + 1} if last < place["last"] else None


def _dates(place: Place) -> tuple[tuple[date, date], Place | None]:
    first, end = date.fromisoformat(place["at"]), date.fromisoformat(place["last"])
    last = min(first + timedelta(days=place["days"] - 1), end)
    after = {**place, "at": (last + timedelta(days=1)).isoformat()} if last < end else None
    return (first, last), after


def _datetimes(place: Place) -> tuple[tuple[datetime, datetime], Place | None]:
    first, end = datetime.fromisoformat(place["at"]), datetime.fromisoformat(place["end"])
    last = min(first + timedelta(seconds=place["seconds"]), end)
    return (first, last), {**place, "at": last.isoformat()} if last < end else None


def _cursor(place: Place) -> tuple[tuple[Any], None]:
    return (place["at"],), None


_KINDS: dict[str, Callable[[Place], tuple[tuple[Any, ...], Place | None]]] = {
    "integers": _integers,
    "dates": _dates,
    "datetimes": _datetimes,
    "cursor": _cursor,
}


def _text(moment: datetime) -> str:
    # With a fixed offset: a zone's name is lost in the text, and adding hours to it would repeat or skip one.
    return (moment.astimezone(UTC) if moment.tzinfo else moment).isoformat()


def _check(holds: bool, says: str) -> None:
    if not holds:
        raise ValueError(says)
