"""What a failed `make up` quotes from the containers' logs."""

from __future__ import annotations

import os
from pathlib import Path

from local import container_logs
from local.last_words import last_words
from local.places import Places


def _log(places: Places, service: str, name: str, text: str, at: int) -> None:
    file = places.logs / service / f"{name}.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    os.utime(file, (at, at))


def test_a_service_that_was_started_again_is_quoted_with_its_newest_end(tmp_path: Path) -> None:
    places = Places(tmp_path)
    _log(places, "beat", "one", "ImportError: the first\n", 100)
    _log(places, "beat", "two", "a\nb\nc\nd\nImportError: the second\n\n", 200)
    _log(places, "controller", "only", "all is well\n", 200)
    said = last_words(places)
    assert "beat was started 2 times" in said
    assert "ImportError: the second" in said
    assert "the first" not in said
    assert "controller" not in said


def test_a_log_that_is_removed_meanwhile_is_passed_over(tmp_path: Path) -> None:
    places = Places(tmp_path)
    _log(places, "beat", "newer", "the end\n", 200)
    _log(places, "beat", "older", "the start\n", 100)
    (places.logs / "beat" / "removed.log").symlink_to("nowhere")  # listed, and gone when it is looked at
    assert [log.stem for log in container_logs.oldest_first(places.logs / "beat")] == ["older", "newer"]
    assert "beat was started 2 times" in last_words(places)


def test_nothing_is_said_when_nothing_was_started_again(tmp_path: Path) -> None:
    assert last_words(Places(tmp_path)) == ""
