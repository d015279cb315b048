"""Many threads or greenlets of one process that publish at once: plain Celery, then ours."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from taskfleet.contract.environment import FALLBACK

from benchmarks import apps, scratch
from drills.busy_producer import Crowd
from drills.report import Check, Figure
from drills.tally import percentile

COUNT = 6400
CROWDS = (Crowd(64), Crowd(400, greenlets=True))
LEAST_TIMES_PLAIN = 1.0  # what is reached depends on who else needs the processors
APPLICATIONS = {"plain": scratch.PLAIN_QUEUE, "ours": scratch.QUEUE}


@dataclass(frozen=True)
class Result:
    """Of one process."""

    per_second: float
    p99_seconds: float
    processor_seconds: float
    to_sqs: int
    refused: int


def measure(crowd: Crowd, application: str, variables: Mapping[str, str]) -> Result:
    """One process of ``application``, a name in `benchmarks.apps`."""
    options = ["--app", f"benchmarks.apps:{application}", "--task", apps.NOTHING]
    options += ["--queue", APPLICATIONS[application], "--count", str(COUNT), *crowd.options()]
    command = [sys.executable, "-m", "drills.crowd", *options]
    done = subprocess.run(command, env=dict(variables), capture_output=True, text=True, check=True)
    return read(json.loads(done.stdout))


def read(said: Mapping[str, object]) -> Result:
    """From what `drills.crowd` prints."""
    publishes: Sequence[tuple[int, float, float, float, str | None]] = said["publishes"]  # type: ignore[assignment]
    began = min(at for _n, at, *_ in publishes)
    ended = max(at + seconds for _n, at, seconds, *_ in publishes)
    return Result(
        per_second=len(publishes) / (ended - began),
        p99_seconds=percentile([seconds for _n, _at, seconds, *_ in publishes], 99) or 0.0,
        processor_seconds=float(said["processor"]),  # type: ignore[arg-type]
        to_sqs=sum(broker == FALLBACK for *_, broker in publishes),
        refused=sum(broker is None for *_, broker in publishes),
    )


def compare(crowd: Crowd, plain: Result, ours: Result) -> tuple[dict[str, Figure], list[Check]]:
    """What is printed of a crowd, and what must hold."""
    figures: dict[str, Figure] = {}
    for name, result in (("plain", plain), ("ours", ours)):
        figures |= {
            f"{crowd.name}_{name}_per_second": result.per_second,
            f"{crowd.name}_{name}_p99_milliseconds": result.p99_seconds * 1000,
            f"{crowd.name}_{name}_processor_seconds": result.processor_seconds,
        }
    ratio = ours.per_second / plain.per_second
    figures |= {
        f"{crowd.name}_rate_ratio": ratio,
        f"{crowd.name}_to_sqs": ours.to_sqs,
        f"{crowd.name}_refused": ours.refused,
    }
    checks = [
        Check(
            f"{crowd.name}: none to SQS, none refused: {ours.to_sqs}, {ours.refused}",
            ours.to_sqs == ours.refused == 0,
        ),
        Check(
            f"{crowd.name}: at least {LEAST_TIMES_PLAIN:g} times plain's rate: {ratio:.2f}",
            ratio >= LEAST_TIMES_PLAIN,
        ),
    ]
    return figures, checks
