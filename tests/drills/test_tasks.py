"""The journal that drills count by."""

from __future__ import annotations

from pathlib import Path

import pytest
from taskfleet.contract import container

from drills.tasks import journal


def test_the_journal_keeps_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(container.JOURNAL, str(tmp_path))
    journal.write("record", run="a", n=1)
    with (tmp_path / journal.FILE).open("a") as file:
        file.write('{"event": "rec')  # a line that is being written

    assert [(line["event"], line["run"], line["n"]) for line in journal.read(tmp_path)] == [
        ("record", "a", 1)
    ]
