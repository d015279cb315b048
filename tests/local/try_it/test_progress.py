"""Counting: what was sent against what the tasks recorded."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

from infra.settings import Execution, Pool
from local.try_it.progress import Progress
from local.try_it.show import Show, table
from local.try_it.work import PORTIONS, Piece, kinds
from tests.support.reference import LOCAL


def line(event: str, root: str, task: str = "t", *, id: str = "", at: float = 101.0) -> dict[str, Any]:
    return {"event": event, "root_id": root, "id": id or root, "task": task, "at": at}


def progress(*pieces: Piece) -> Progress:
    made = Progress(started_at=100.0)
    for piece in pieces:
        made.sent(piece)
    return made


def test_a_piece_is_done_when_all_its_tasks_succeeded_once_or_more() -> None:
    it = progress(Piece("a", "chain", 3))

    it.recorded([line("began", "a"), line("succeeded", "a"), line("succeeded", "a", id="b")])
    assert (it.counts()[0].done, it.counts()[0].waiting, it.finished) == (0, 1, False)

    it.recorded([line("succeeded", "a", id="b"), line("succeeded", "a", id="c", at=104.5)])
    (count,) = it.counts()
    assert (count.done, count.waiting, count.tasks_run, count.seconds) == (1, 0, 3, 4.5)
    assert it.finished


def test_a_failed_task_fails_its_piece_and_is_named() -> None:
    it = progress(Piece("a", "chain", 3), Piece("b", "chain", 3))

    it.recorded([line("succeeded", "a"), line("failed", "a", "load", id="b")])

    (count,) = it.counts()
    assert (count.done, count.failed, count.waiting) == (0, 1, 1)
    assert it.unfinished() == ["chain a: load failed", "chain b: no worker took it"]


def test_what_hangs_is_shown_with_what_happened_last() -> None:
    it = progress(Piece("a", "order", 3))

    it.recorded([line("succeeded", "a", "pick"), line("began", "a", "pack", id="b")])

    assert it.unfinished() == ["order a: last seen: pack began"]


def test_other_work_is_not_counted() -> None:
    it = progress(Piece("a", "order", 1))

    it.recorded([line("succeeded", "else"), {"event": "record", "run": "x", "n": 1}])

    assert (it.counts()[0].waiting, it.counts()[0].tasks_run) == (1, 0)


def test_the_work_goes_through_every_queue_that_the_settings_have() -> None:
    crawl = Pool(name="crawl", queues=("pages", "images"), execution=Execution.GEVENT)
    made = {kind.name: kind for kind in kinds(replace(LOCAL, pools=(*LOCAL.pools, crawl)))}

    every = ["high", "low", "etl", "picking", "packing", "delivery", "pages", "images"]
    assert [name for name in made if name.startswith("on ")] == [f"on {queue}" for queue in every]
    assert made["chain over all queues"].tasks == len(every)
    assert made["one task that starts many"].tasks == 1 + PORTIONS


def test_the_table_has_a_line_for_each_kind() -> None:
    it = progress(Piece("a", "notification", 1), Piece("b", "report", 41))
    it.recorded([line("succeeded", "a")])

    assert table(it.counts()) == [
        "              sent  done  waiting  failed  tasks run  after",
        "notification     1     1        0       0          1  1.0 s",
        "report           1     0        1       0          0       ",
    ]


def test_without_a_terminal_a_line_is_printed_now_and_then() -> None:
    out, it = io.StringIO(), progress(Piece("a", "notification", 1))
    show = Show(out)

    for now in (100.0, 100.3, 101.9, 102.0):
        show.live(it.counts(), now)

    assert out.getvalue() == "done 0, waiting 1, failed 0\n" * 2
