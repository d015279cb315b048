"""``python -m local.try_it.producer``: sends the work, as a web application's process would.

One line of JSON on standard output for each piece that a broker accepted.
"""

from __future__ import annotations

import dataclasses
import json
import sys

from taskfleet.errors import TaskfleetError

import drills.tasks.app  # noqa: F401 - the application that publishes
from local.try_it.work import send_all


def main() -> int:
    """0 when everything was accepted, else 1 with the reason on standard error."""
    try:
        for piece in send_all():
            print(json.dumps(dataclasses.asdict(piece)), flush=True)
    except TaskfleetError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
