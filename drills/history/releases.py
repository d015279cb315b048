"""The releases of a rig, moved as `fleet release promote` and `rollback` do while the controller works."""

from __future__ import annotations

import time

from taskfleet.errors import ReleaseError
from taskfleet.releases import commands, pointer, promoting
from taskfleet.releases.model import State
from taskfleet.releases.store import Conflict, Snapshot, Store

from drills.history.record import ReleasesSeen
from tests.support.processes import wait_for
from tests.support.tiny_fleet import TinyFleet

_TRIES = 20  # the controller may write the same records at the same moment


class Releases:
    """Reads and moves the records of a fleet's releases."""

    def __init__(self, fleet: TinyFleet) -> None:
        self._environment = fleet.name
        self._store = Store(fleet.aws.client("dynamodb"), fleet.name)
        self._ssm = fleet.aws.client("ssm")

    def wait_until_ready(self, *, seconds: float) -> None:
        """Until one is current and the gates of all have passed."""
        wait_for(lambda: self._ready(self._store.scan()), seconds=seconds, what="the gates of all releases")

    def _ready(self, seen: Snapshot) -> bool:
        return bool(seen.pointer.version) and all(
            record.ready or record.state is State.CURRENT for record in seen.records.values()
        )

    def promote(self) -> str:
        """Make the release current that is not."""
        return self._move(back=False)

    def roll_back(self) -> str:
        """Go back to the release that was current before; what the command refuses is not done."""
        return self._move(back=True)

    def _move(self, *, back: bool) -> str:
        for _ in range(_TRIES):
            seen = self._store.scan()
            try:
                self._once(seen, back=back)
                break
            except Conflict:
                time.sleep(0.1)
            except ReleaseError:
                if not back:
                    raise
                break
        return self._store.read([]).pointer.release

    def _once(self, seen: Snapshot, *, back: bool) -> None:
        (other,) = set(seen.records) - {seen.pointer.release}
        target = commands.before(seen.records, seen.pointer).release if back else other
        said = commands.promote(
            seen.records, seen.pointer, target, at=time.time(), actor="history", reason="of the program"
        )
        if said is not None:
            promoting.promote(self._store, self._ssm, self._environment, said)

    def seen(self, *, since: float, seconds: float) -> ReleasesSeen:
        """What is kept of them once it agrees, after ``seconds`` at the latest; moves ``since`` then."""
        end = time.monotonic() + seconds
        while not _agrees(found := self._seen(since)) and time.monotonic() < end:
            time.sleep(0.3)
        return found

    def _seen(self, since: float) -> ReleasesSeen:
        kept = self._store.scan()
        return ReleasesSeen(
            current=kept.pointer.release,
            published=pointer.published(self._ssm, self._environment).release,
            states={name: record.state for name, record in kept.records.items()},
            drained=[
                (change.at, name)
                for name, record in kept.records.items()
                for change in record.history
                if change.after == State.DRAINED and change.at >= since
            ],
        )


def _agrees(seen: ReleasesSeen) -> bool:
    others = {state for name, state in seen.states.items() if name != seen.current}
    return (
        seen.published == seen.current
        and seen.states[seen.current] is State.CURRENT
        and State.CURRENT not in others
    )
