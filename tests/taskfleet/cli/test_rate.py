"""`fleet rate`: what is said of rates, and what a person may do to them."""

from __future__ import annotations

import pytest
from taskfleet.tools.rate_settings import RateSettings, Setting

from tests.taskfleet.cli.conftest import Fleet


@pytest.fixture
def rates(up: Fleet) -> RateSettings:
    found = RateSettings(up.account.dynamodb, up.account.name)
    found.is_known("shop.ask_bank", "70/s, burst 1")
    return found


def test_a_rate_is_set_and_reset_and_it_is_kept_who_did_it(up: Fleet, rates: RateSettings) -> None:
    said = up.run("rate", "set", "shop.ask_bank", "10/s", "--burst", "3")
    assert "nothing was changed" in said.output
    assert rates.read().chosen == {}
    done = up.run("rate", "set", "shop.ask_bank", "10/s", "--burst", "3", "--reason", "bank slow", "--yes")
    assert "shop.ask_bank: 70/s, burst 1 -> 10/s, burst 3" in done.output
    assert "undo: fleet rate reset shop.ask_bank --yes" in done.output
    assert rates.read().of("shop.ask_bank", "") == Setting("10/s", 3, 1)
    only = up.run("rate", "set", "shop.ask_bank", "1/m", "--for", '["north"]', "--yes")
    assert "undo: fleet rate reset shop.ask_bank --for '[\"north\"]' --yes" in only.output
    _, *rows = up.run("rate", "list").output.splitlines()
    assert [row.split()[-1] for row in rows] == ["all", '["north"]']
    up.run("rate", "reset", "shop.ask_bank", "--yes")
    assert up.json("rate", "list")["set"] == {
        "shop.ask_bank": {'["north"]': {"allowed": "1/m", "burst": 1, "version": 2}}
    }
    newest, *_, oldest = up.json("rate", "history")["changes"]
    assert (newest["allowed"], oldest["allowed"], oldest["reason"]) == (None, "10/s", "bank slow")
    assert oldest["actor"]
    assert "bank slow" in up.run("rate", "history").output


def test_what_can_not_be_is_refused(up: Fleet, rates: RateSettings) -> None:
    wrong = up.run("rate", "set", "shop.ask_bnak", "10/s", "--yes")
    assert wrong.exit_code == 1
    assert "no worker has met a rate 'shop.ask_bnak'; known: shop.ask_bank" in wrong.output
    usage = up.run("rate", "set", "shop.ask_bank", "10/d", "--yes")
    assert usage.exit_code == 2
    assert "/s, /m or /h" in usage.output
    assert up.run("rate", "reset", "shop.ask_bank", "--for", "north", "--yes").exit_code == 1
