"""The two applications of `ratelimit`: Celery's own limit, and the toolkit's."""

from __future__ import annotations

import os

from celery import Celery
from taskfleet import install
from taskfleet.tools import rate

from drills.tasks import journal

NOTES, PER_SECOND = "bench.limited", 70
PLAIN_URL = "TASKFLEET_BENCH_PLAIN_URL"


def note(n: int) -> None:
    """Say when it began."""
    journal.write("did", n=n)


plain = Celery("plain", broker=os.environ.get(PLAIN_URL), set_as_current=False)
plain.conf.update(task_default_queue="plain", task_ignore_result=True)
plain.task(name=NOTES, rate_limit=f"{PER_SECOND}/s", shared=False)(note)

ours = install(Celery("ours", set_as_current=False))
ours.conf.task_default_queue = "low"
ours.task(name=NOTES, shared=False)(rate(f"{PER_SECOND}/s")(note))
plain.finalize()
ours.finalize()
