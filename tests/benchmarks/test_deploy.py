"""What the benchmark of deploys makes of what was published and what ran."""

from __future__ import annotations

from typing import Any

from benchmarks.deploy import OURS, Outcome, compare, outcome, table


def line(event: str, n: int, task: int = 0) -> dict[str, Any]:
    return {"event": event, "n": n, "task": task}


def test_what_failed_by_wrong_code_and_what_therefore_never_began_is_lost() -> None:
    published = [{"n": n, "tasks": tasks, "accepted": n != 3} for n, tasks in enumerate((1, 3, 1, 1))]
    lines = [line("did", 0), line("did", 0), line("did", 1), line("failed", 1, 1), line("did", 2)]

    found = outcome(published, lines, seconds=4.0)

    assert found == Outcome(accepted=5, failed=1, lost=2, duplicates=1, seconds=4.0)


def test_the_comparison_holds_only_if_ours_lost_nothing_and_the_others_something() -> None:
    none = Outcome(accepted=9, failed=0, lost=0, duplicates=0, seconds=3.0)
    some = Outcome(accepted=9, failed=4, lost=5, duplicates=0, seconds=3.0)

    assert compare({"rolling": some, OURS: none}).holds
    assert not compare({"rolling": none, OURS: none}).holds
    assert not compare({"rolling": some, OURS: some}).holds
    assert "| rolling | 4 | 5 of 9 | 0 | 3 s |" in table({"rolling": some, OURS: none})
