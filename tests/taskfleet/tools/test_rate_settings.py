"""What an operator sets: the rule, which reads it, and how soon."""

from __future__ import annotations

import pytest
from taskfleet.errors import TaskfleetError
from taskfleet.tools.rate_settings import MOST_CHANGES, Change, Setting, Settings

KNOWN = Settings(known={"bank": "70/s, burst 1"})


def change(allowed: str | None, key: str = "", name: str = "bank") -> Change:
    return Change(1.0, "me", "why", name, key, allowed, 2 if allowed else None)


def test_what_is_set_for_a_key_goes_before_what_is_set_for_all() -> None:
    settings = KNOWN.changed(change("10/s")).changed(change("1/s", '["a"]'))
    assert settings.of("bank", '["a"]') == Setting("1/s", 2, version=2)
    assert settings.of("bank", '["b"]') == Setting("10/s", 2, version=1)
    assert settings.of("another", "") is None
    assert KNOWN.of("bank", "") is None


def test_after_a_reset_what_is_declared_applies_and_a_new_setting_begins_a_new_count() -> None:
    settings = KNOWN.changed(change("10/s")).changed(change(None))
    assert settings.of("bank", "") is None
    assert settings.chosen == {}
    again = settings.changed(change("10/s")).of("bank", "")
    assert again is not None
    assert again.version == 3


def test_a_rate_that_there_is_not_and_a_reset_of_nothing_are_refused() -> None:
    with pytest.raises(TaskfleetError, match="no worker has met a rate 'bnak'; known: bank"):
        KNOWN.changed(change("10/s", name="bnak"))
    with pytest.raises(TaskfleetError, match="bank is not set: 70/s, burst 1 applies"):
        KNOWN.changed(change(None))


def test_the_history_is_bounded_and_the_newest_comes_first() -> None:
    settings = KNOWN
    for n in range(MOST_CHANGES + 5):
        settings = settings.changed(change(f"{n + 1}/s"))
    assert len(settings.changes) == MOST_CHANGES
    assert settings.changes[0].allowed == f"{MOST_CHANGES + 5}/s"
