"""What a series of drills makes of its reports."""

from __future__ import annotations

import pytest

from drills import __main__ as command
from drills.report import Check, Report
from drills.series import rows, table


def report(name: str, *, holds: bool = True, lost: int = 0, longest: float | None = 0.1) -> Report:
    figures = {"submitted": 100, "executed": 100 - lost, "lost": lost, "longest_publish_seconds": longest}
    return Report(name=name, checks=[Check("something", holds)], figures=figures)


def test_counts_are_summed_and_times_are_the_longest() -> None:
    runs = [report("a", longest=0.2), report("b"), report("a", holds=False, lost=3, longest=None)]

    first, second = rows(runs)

    assert (first.name, first.runs, first.held, first.submitted, first.lost) == ("a", 2, 1, 200, 3)
    assert first.longest_publish_seconds == 0.2
    assert first.longest_wait_seconds is None
    assert (second.name, second.runs, second.held) == ("b", 1, 1)


def test_the_table_says_how_often_each_held() -> None:
    shown = table(rows([report("broker-kill"), report("broker-kill", holds=False, lost=1)])).splitlines()

    assert shown[0].split()[:4] == ["drill", "held", "submitted", "executed"]
    assert shown[1].split()[:5] == ["broker-kill", "1", "of", "2", "200"]
    assert len(set(map(len, shown))) == 1


@pytest.mark.parametrize("given", [["nothing"], ["leak", "--times", "0"], ["leak", "--times", "often"]])
def test_what_can_not_be_run_is_refused_with_what_can(
    given: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["drills", *given])

    with pytest.raises(SystemExit) as ended:
        command.main()

    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "one of broker-kill" in said or "1 or more" in said
