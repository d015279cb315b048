"""`autoscale`: our scaling and five others on the same eleven loads, simulated.

Ours are the deployed alarms and step policies on the controller's own capacity function. Writes the table and
the JSON to ``build/bench``, and the picture to ``docs``. ``SEEDS=30`` is the full form.
"""

from __future__ import annotations

import os

from benchmarks.autoscale.compare import Comparison, measured
from benchmarks.autoscale.picture import svg
from local.places import REPOSITORY

SEEDS_UNLESS_SAID = 5
PICTURE = REPOSITORY / "docs" / "autoscale.svg"


def run() -> Comparison:
    """Simulate all; as many seeds as ``SEEDS`` says."""
    seeds = int(os.environ.get("SEEDS", SEEDS_UNLESS_SAID))
    found = Comparison(seeds, measured(range(seeds)))
    PICTURE.write_text(svg(found.rows))
    return found
