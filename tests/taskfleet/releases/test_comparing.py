"""Green against blue: what is worse, by how much, and how sure that is."""

from __future__ import annotations

from itertools import product
from math import comb

import pytest
from taskfleet.releases.comparing import Comparison, Key, Runs, compare

ALPHA = 0.0005
PAY, MAIL = ("low", "shop.pay"), ("low", "shop.mail")


def of(bad: int, runs: int, *buckets: int) -> Runs:
    times = dict.fromkeys(buckets or (20,), runs // max(1, len(buckets)))
    return Runs(runs, bad, times)


def both(green: Runs, blue: Runs, key: Key = PAY) -> Comparison:
    return compare({key: green}, {key: blue})


def chance(green: Runs, blue: Runs) -> float:
    """Fisher's exact test by its definition."""
    runs, bad, drawn = green.runs + blue.runs, green.bad + blue.bad, green.runs
    ways = (comb(bad, k) * comb(runs - bad, drawn - k) for k in range(green.bad, min(bad, drawn) + 1))
    return sum(ways) / comb(runs, drawn)


@pytest.mark.parametrize(
    ("green", "blue"),
    list(product([of(0, 40), of(3, 40), of(40, 40)], [of(0, 500), of(7, 500), of(20, 30)])),
)
def test_of_one_task_it_is_fishers_exact_test(green: Runs, blue: Runs) -> None:
    assert both(green, blue).by_chance == pytest.approx(chance(green, blue), abs=1e-12)


def test_of_several_tasks_it_is_the_chance_of_their_sum() -> None:
    green, blue = {PAY: of(2, 10), MAIL: of(1, 5)}, {PAY: of(3, 40), MAIL: of(0, 60)}

    def exactly(key: Key, k: int) -> float:
        g, b = green[key], blue[key]
        runs, bad = g.runs + b.runs, g.bad + b.bad
        return comb(bad, k) * comb(runs - bad, g.runs - k) / comb(runs, g.runs)

    wanted = sum(exactly(PAY, i) * exactly(MAIL, j) for i in range(6) for j in range(2) if i + j >= 3)
    assert compare(green, blue).by_chance == pytest.approx(wanted)


def test_a_task_is_compared_with_itself() -> None:
    """Simpson's paradox: green has more of the task that fails often, and no task fails more."""
    green = {PAY: of(50, 100), MAIL: of(0, 10)}
    blue = {PAY: of(500, 1000), MAIL: of(0, 9000)}
    found = compare(green, blue)
    assert found.bad / found.runs > 0.4 > 0.1 > 500 / 10_000
    assert found.worse(ALPHA) is None


def test_more_failures_are_worse_and_named() -> None:
    found = compare({PAY: of(9, 40), MAIL: of(0, 40)}, {PAY: of(8, 800), MAIL: of(0, 800)})
    assert found.worse(ALPHA) == (
        "more of its tasks fail: 9 of 80 runs, 0.4 at the current release's rates; most of all shop.pay"
    )


@pytest.mark.parametrize(
    ("green", "blue", "why"),
    [
        (of(1, 40), of(8, 800), "one bad run more is chance"),
        (of(0, 40), of(80, 800), "fewer are better"),
        (of(11_500, 100_000), of(100_000, 1_000_000), "significant, and a sixth more"),
        (of(0, 0), of(8, 800), "nothing was seen"),
    ],
)
def test_what_is_no_worse(green: Runs, blue: Runs, why: str) -> None:
    assert both(green, blue).worse(ALPHA) is None, why


def test_what_only_one_of_them_has_run_says_nothing() -> None:
    found = compare({PAY: of(40, 40)}, {MAIL: of(0, 800)})
    assert (found.runs, found.worse(1.0)) == (0, None)
    assert str(found) == "no run of a task that both releases have"


def test_slower_is_worse() -> None:
    blue = of(0, 900, 18, 19, 20)
    slower = of(0, 90, *(bucket + 3 for bucket in (18, 19, 20)))  # 2 ** (3/4) times as long
    found = both(slower, blue)
    assert found.slower == pytest.approx(1.68, abs=0.01)
    assert found.worse(ALPHA) == (
        "its tasks take 1.68 times as long (90 runs, 0 of them bad, 0.0 at the current release's rates)"
    )
    assert both(of(0, 90, 15, 16, 17), blue).worse(ALPHA) is None, "faster"
    assert both(of(0, 3, 21, 22, 23), blue).worse(ALPHA) is None, "too few to tell"
    assert both(of(0, 9000, 19, 20, 20, 20), blue).worse(ALPHA) is None, "a little slower"


def test_what_a_busy_machine_adds_to_short_tasks_is_not_slower() -> None:
    """2 ms that become 2.8, and the same of a task of 60 ms."""
    short, long = of(0, 9000, 4), of(0, 9000, 24)
    assert both(of(0, 900, 6), short).slower_by_chance < ALPHA / 2
    assert both(of(0, 900, 6), short).worse(ALPHA) is None
    assert "1.41 times as long" in str(both(of(0, 900, 26), long).worse(ALPHA))


def test_a_task_that_is_slower_by_nature_is_not_taken_for_a_slower_release() -> None:
    green = {PAY: of(0, 90, 40), MAIL: of(0, 9, 10)}
    blue = {PAY: of(0, 90, 40), MAIL: of(0, 9000, 10)}
    assert compare(green, blue).slower == pytest.approx(1.0)


def test_rank_sums_are_those_of_wilcoxons_test() -> None:
    """Without ties, by enumeration: the mean and the variance of the rank sum."""
    found = both(Runs(3, 0, {5: 1, 6: 1, 7: 1}), Runs(3, 0, {1: 1, 2: 1, 3: 1}))
    # Rank sum 15 of 6 ranks: (15 - 10.5) / sqrt(3 * 3 * 7 / 12) = 1.964.
    assert found.slower_by_chance == pytest.approx(0.0248, abs=0.0002)


def test_what_fails_together_is_one_failure() -> None:
    """Blue's bad runs come five at a time: five of green's are no more than one."""
    alone = Runs(1000, 50, {20: 1000}, tuple((50, 5 if n % 2 else 0) for n in range(20)))
    spread = Runs(1000, 50, {20: 1000}, tuple((50, 2 + n % 2) for n in range(20)))
    five_more = Runs(100, 15, {20: 100})
    assert both(five_more, alone).by_chance > 5 * both(five_more, spread).by_chance
    assert both(five_more, spread).by_chance == pytest.approx(both(five_more, of(50, 1000)).by_chance)


def test_while_too_few_minutes_tell_much_scatter_is_assumed() -> None:
    early = Runs(100, 2, {20: 100}, ((100, 2),))
    assert both(of(4, 20), early).worse(ALPHA) is None
    assert both(of(20, 20), early).worse(ALPHA) is not None, "what always fails is seen at once"
