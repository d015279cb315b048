"""Beat's firings: each that was sent must run once."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drills.releases.rig import Rig
from drills.report import Check, Figure
from tests.support.processes import until

_SENT = re.compile(r"sent releases\.tick as ([0-9a-f-]+)")
# A firing each second; on a machine that does much else, some later.
LONGEST_PAUSE_SECONDS = 10.0
# Two that are closer were sent by two beats, or twice by one.
SHORTEST_PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class Ticks:
    """Of a time: how many were ``sent``, did not run, or ran more than once; and the pauses between two."""

    sent: int
    lost: int
    doubled: int
    longest_pause: float
    shortest_pause: float

    def figures(self) -> dict[str, Figure]:
        """For a report."""
        return {
            "firings": self.sent,
            "firings_lost": self.lost,
            "firings_doubled": self.doubled,
            "longest_pause_of_beat_seconds": self.longest_pause,
            "shortest_pause_of_beat_seconds": self.shortest_pause,
        }

    def checks(self) -> list[Check]:
        """What must hold."""
        missing = f"no firing lost or doubled: {self.lost} and {self.doubled} of {self.sent}"
        pause = f"beat never pauses for over {LONGEST_PAUSE_SECONDS:g} s: {self.longest_pause:.1f} s"
        return [
            Check(missing, self.sent > 0 and not self.lost and not self.doubled),
            Check(pause, self.longest_pause <= LONGEST_PAUSE_SECONDS),
            Check(
                f"no two firings within {SHORTEST_PAUSE_SECONDS:g} s: {self.shortest_pause:.2f} s",
                self.shortest_pause >= SHORTEST_PAUSE_SECONDS,
            ),
        ]


class Ticking:
    """Counts from its making on."""

    def __init__(self, rig: Rig) -> None:
        self._rig, self._before = rig, set(_sent(rig))

    def counted(self) -> Ticks:
        """What was sent since, once all of it has run, or a while later."""
        sent = set(_sent(self._rig)) - self._before
        until(lambda: not sent - {line["key"] for line in self._rig.journal("tick")}, seconds=20)
        lines = [line for line in self._rig.journal("tick") if line["key"] in sent]
        times = Counter(line["key"] for line in lines)
        # One that Redis took without saying so was published twice.
        moments = sorted(min(o["published_at"] for o in lines if o["key"] == key) for key in times)
        pauses = [after - before for before, after in itertools.pairwise(moments)]
        return Ticks(
            sent=len(sent),
            lost=len(sent - times.keys()),
            doubled=times.total() - len(times) - self._over_both(lines),
            longest_pause=max(pauses, default=0.0),
            shortest_pause=min(pauses, default=math.inf),
        )

    def _over_both(self, lines: Sequence[Mapping[str, Any]]) -> int:
        """Firings that Redis took without saying so in time: they went to SQS, too."""
        return len({(line["key"], line["broker"]) for line in lines}) - len({line["key"] for line in lines})


def _sent(rig: Rig) -> list[str]:
    return _SENT.findall(rig.beat_logs())
