"""``python -m drills.stuck.producer NAME LOG SCALE``: publishes until it is ended, and logs each publish.

``SCALE`` shortens what is measured in minutes: a lease of 300 s, renewed each 60 s.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from kombu.exceptions import KombuError
from taskfleet.errors import TaskfleetError
from taskfleet.publishing import leasing, memory, pointer

from drills.stuck.app import number

EVERY_SECONDS = 0.2


def main() -> None:
    """The command line."""
    name, log, scale = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    for module, constants in (
        (leasing, ("LEASE_SECONDS", "RENEW_SECONDS", "IDLE_SECONDS", "FIRST_SECONDS")),
        (pointer, ("LEASE_SECONDS",)),
        (memory, ("UNLEASED_SECONDS", "ASKING_SECONDS")),
    ):
        for constant in constants:
            setattr(module, constant, getattr(module, constant) * scale)
    with log.open("a", buffering=1) as out:
        n = 0
        while True:
            at, why = time.time(), ""
            try:
                number.delay(name, n)
            except (TaskfleetError, KombuError) as error:
                why = f"{type(error).__name__}: {error}"
            out.write(json.dumps({"producer": name, "n": n, "at": at, "why": why}) + "\n")
            n += 1
            time.sleep(EVERY_SECONDS)


if __name__ == "__main__":
    main()
