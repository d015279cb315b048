"""What is asked of Prometheus. Each name is that of the code which serves it."""

from __future__ import annotations

from dataclasses import dataclass

from taskfleet.contract import figures
from taskfleet.controller.prometheus import pool_gauge
from taskfleet.measuring import families

# The controller's series, which are those of all workers together: a worker's have a pool, and count twice.
ALL = '{pool=""}'
# The controller counts a minute when it is over.
WINDOW = "5m"
BAD = (figures.FAILED, figures.REJECTED, figures.LOST)


@dataclass(frozen=True)
class Recorded:
    """A series that Prometheus keeps because several ask for it, or for what it was a day ago."""

    name: str
    expression: str


def _percentile(share: float, histogram: str, by: str) -> str:
    return f"histogram_quantile({share:g}, sum by ({by}, le) (rate({histogram}_bucket{ALL}[{WINDOW}])))"


def _runs(by: str, outcomes: str = "") -> str:
    where = f'{{pool="", outcome=~"{outcomes}"}}' if outcomes else ALL
    return f"sum by ({by}) (rate({families.ENDED}_total{where}[{WINDOW}]))"


_QUEUE, _TASK = "environment, release, queue", "environment, queue, task"

WAIT_P50 = Recorded(f"queue:{families.WAIT}:p50", _percentile(0.5, families.WAIT, _QUEUE))
WAIT_P95 = Recorded(f"queue:{families.WAIT}:p95", _percentile(0.95, families.WAIT, _QUEUE))
WAIT_P99 = Recorded(f"queue:{families.WAIT}:p99", _percentile(0.99, families.WAIT, _QUEUE))
# Not by release: a new one is compared with the one before.
RUNTIME_P50 = Recorded(f"task:{families.RUNTIME}:p50", _percentile(0.5, families.RUNTIME, _TASK))
RUNTIME_P95 = Recorded(f"task:{families.RUNTIME}:p95", _percentile(0.95, families.RUNTIME, _TASK))
RUNS = Recorded(f"queue:{families.ENDED}:rate", _runs(f"{_QUEUE}, outcome"))
FAILING = Recorded(f"task:{families.ENDED}:failing", f"{_runs(_TASK, '|'.join(BAD))} / {_runs(_TASK)}")
RETRYING = Recorded(f"task:{families.ENDED}:retrying", f"{_runs(_TASK, figures.RETRIED)} / {_runs(_TASK)}")
BUSY = Recorded(
    f"pool:{pool_gauge('busy_slots')}:share", f"{pool_gauge('busy_slots')} / ({pool_gauge('slots')} > 0)"
)

RECORDED = (WAIT_P50, WAIT_P95, WAIT_P99, RUNTIME_P50, RUNTIME_P95, RUNS, FAILING, RETRYING, BUSY)
