"""``python -m benchmarks.autoscale.tune``: which setting of each peer is its best, over all scenarios.

With seeds of its own, so that no peer is tuned on what it is judged by. The best has the least sum of two
ratios: worker-hours by the least that was tried in the scenario, and a twentieth for each per cent late.
"""

from __future__ import annotations

from collections import defaultdict

from benchmarks.autoscale.peers import TRIED, Peer
from benchmarks.autoscale.runs import load_of, run
from benchmarks.autoscale.scenarios import SCENARIOS

SEEDS = (10_001, 10_002)
LATE_PERCENT_COSTS = 0.05


def main() -> None:
    """Print the best of each."""
    for name, tried in TRIED.items():
        scores: defaultdict[Peer, float] = defaultdict(float)
        for scenario in SCENARIOS:
            for seed in SEEDS:
                load = load_of(scenario, seed)
                outcomes = [run(scenario, load, each, seed) for each in tried]
                least = min(outcome.worker_hours for outcome in outcomes)
                for each, outcome in zip(tried, outcomes, strict=True):
                    scores[each] += outcome.worker_hours / least + LATE_PERCENT_COSTS * outcome.late_percent
        best = min(scores, key=scores.__getitem__)
        print(f"{name}: {scores[best] / len(SCENARIOS) / len(SEEDS):.3f} {best}", flush=True)


if __name__ == "__main__":
    main()
