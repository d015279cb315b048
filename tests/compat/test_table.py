"""The table says what the last comparison found, and each of its reasons stands for a difference."""

from __future__ import annotations

from typing import Any

import pytest

from tests.compat.compare import DIFFERENT, NOT_AVAILABLE, SAME, judge
from tests.compat.differences import DIFFERENCES, Difference, absent, different
from tests.compat.feature import CELLS, Cell, Feature, all_features
from tests.compat.table import read

REDIS, SQS = Cell("redis", "prefork"), Cell("sqs", "threads")
KNOWN = {
    "tasks.known": (
        different("for a reason", brokers=("redis",)),
        absent("not there", "that", brokers=("sqs",)),
    )
}


def a_feature(key: str) -> Feature:
    return Feature("tasks", key, "a feature", lambda _context: 4, 4)


def observed(value: Any) -> dict[str, Any]:
    return {"observed": value}


@pytest.mark.parametrize(
    ("key", "cell", "stock", "fleet", "says", "problem"),
    [
        ("any", REDIS, observed(4), observed(4), SAME, None),
        ("any", REDIS, observed(4), observed(5), "?", "nobody says why"),
        ("any", REDIS, observed(4), {"raised": "ValueError: no"}, "?", "ValueError: no"),
        ("any", REDIS, observed(5), observed(5), "?", "by the guide it is 4"),
        ("any", REDIS, {"raised": "ValueError: no"}, observed(4), "?", "could not be tried: ValueError"),
        ("known", REDIS, observed(4), observed(5), DIFFERENT, None),
        ("known", SQS, observed(4), {"raised": "ValueError: no"}, NOT_AVAILABLE, None),
        ("known", REDIS, observed(4), observed(4), SAME, "remove its reason: for a reason"),
    ],
)
def test_a_difference_has_a_reason_and_a_reason_a_difference(
    key: str, cell: Cell, stock: Any, fleet: Any, says: str, problem: str | None
) -> None:
    verdict = judge(a_feature(key), cell, stock, fleet, KNOWN)

    assert verdict.says == says
    assert (problem is None) is (verdict.problem is None)
    assert (problem or "") in (verdict.problem or "")


def reason(feature: Feature, cell: Cell) -> Difference | None:
    return next((each for each in DIFFERENCES.get(feature.id, ()) if each.holds_in(cell)), None)


def test_the_kept_results_are_those_of_the_features_and_reasons() -> None:
    features, results = all_features(), read()

    assert set(DIFFERENCES) <= set(features)
    for cell in CELLS:
        here = {key: each for key, each in features.items() if cell in each.cells()}
        assert set(results[str(cell)]) == set(here), f"run `make compat`: {cell}"
        for key, each in here.items():
            known = reason(each, cell)
            assert results[str(cell)][key] == (known.kind if known else SAME), f"{key} in {cell}"


def test_each_reason_says_why_and_what_is_not_there_what_instead() -> None:
    for key, found in DIFFERENCES.items():
        for each in found:
            assert each.why, key
            assert not each.why.endswith("."), key
            assert each.instead or each.kind != NOT_AVAILABLE, key
