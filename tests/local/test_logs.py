"""One readable stream of what the local fleet writes, and files that don't fill the disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drills.tasks.journal import FILE
from local import log_sizes, logs
from local.journal import Journal
from local.places import VARIABLE, Places


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    made = Places.from_environment()
    (made.logs / "live-low").mkdir(parents=True)
    made.journal.mkdir()
    return made


def _line(second: int, message: str, **more: str) -> str:
    return json.dumps(
        {"time": f"2026-01-01T00:00:0{second}.000+00:00", "level": "INFO", "message": message, **more}
    )


def _write(file: Path, *lines: str) -> None:
    with file.open("a") as out:
        out.writelines(f"{line}\n" for line in lines)


def test_the_latest_lines_of_all_services_come_in_the_order_of_their_times(
    places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(places.logs / "account.log", "plain text")
    _write(
        places.logs / "live-low" / "one.log",
        _line(1, "first"),
        _line(3, "third", task="shop.pay", task_id="7"),
    )
    _write(places.logs / "live-low" / "two.log", _line(2, "second", exception="Traceback\nValueError: no"))

    assert logs.main(["--no-follow"]) == 0

    assert capsys.readouterr().out.splitlines() == [
        f"{'account':<20} plain text",
        f"{'live-low':<20} 00:00:01.000 INFO     first",
        f"{'live-low':<20} 00:00:02.000 INFO     second",
        "    Traceback",
        "    ValueError: no",
        f"{'live-low':<20} 00:00:03.000 INFO     third  [shop.pay 7]",
    ]


def test_a_service_is_chosen_and_its_lines_can_stay_json(
    places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(places.logs / "account.log", "plain text")
    _write(places.logs / "live-low" / "one.log", _line(1, "first"))
    assert logs.main(["low", "--json", "--no-follow"]) == 0
    assert json.loads(capsys.readouterr().out)["message"] == "first"


def test_a_service_without_a_log_is_an_error_that_names_the_others(
    places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(places.logs / "account.log", "plain text")
    assert logs.main(["hihg", "--no-follow"]) == 1
    assert capsys.readouterr().out == "no service 'hihg' has a log; there are: account\n"


def test_what_is_written_later_follows_in_new_and_in_shortened_files(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_LOOK_SECONDS", 0.01)
    old = places.logs / "account.log"
    _write(old, "old", "older")
    lines = logs.Files(places.logs, "").lines(follow=True)
    assert [next(lines)[1], next(lines)[1]] == ["old", "older"]
    _write(places.logs / "live-low" / "new.log", "of a new container")
    assert next(lines) == ("live-low", "of a new container")
    old.write_text("anew\n")
    assert next(lines) == ("account", "anew")


def test_a_large_log_keeps_its_end_while_it_is_written_to(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_sizes, "MOST_LOG_BYTES", 1000)
    monkeypatch.setattr(log_sizes, "KEPT_LOG_BYTES", 100)
    log = places.logs / "live-low" / "one.log"
    with log.open("a") as writer:
        writer.writelines(f"line {n}\n" for n in range(200))
        writer.flush()
        log_sizes.cap(places)
        writer.write("after\n")
    kept = log.read_text().splitlines()
    assert kept[-2:] == ["line 199", "after"]
    assert kept[0].startswith("line 18")
    log_sizes.cap(places)
    assert log.read_text().splitlines() == kept


def test_a_large_journal_begins_anew_and_is_followed(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_sizes, "MOST_JOURNAL_BYTES", 100)
    followed = Journal(places.journal)
    _write(places.journal / FILE, *(json.dumps({"n": n}) for n in range(50)))
    assert len(followed.read()) == 50
    log_sizes.cap(places)
    assert followed.read() == []
    _write(places.journal / FILE, json.dumps({"n": 51}))
    assert followed.read() == [{"n": 51}]
