"""An hour that rolls on has at each minute what reading all of it anew would give."""

from __future__ import annotations

import json
import random
from collections import Counter

from taskfleet.controller.hours import HOUR_MINUTES, LastHour


def test_the_sums_are_those_of_sixty_minutes_whatever_was_missed() -> None:
    rng, hour, minutes = random.Random(12), LastHour(), dict[int, dict[tuple[str, str], str]]()
    over = 1000
    for _ in range(200):
        over += rng.choice([1, 1, 1, 2, 70])
        for minute in hour.missing(over):
            names = rng.sample("abcdef", rng.randrange(4))
            minutes[minute] = {
                ("low", name): json.dumps(
                    {"outcome:failed": rng.randrange(3), "runtime:sum": rng.randrange(9)}
                )
                for name in names
            }
        hour.add([(minute, minutes[minute]) for minute in hour.missing(over)])

        assert positive(hour.sums) == expected(minutes, over - HOUR_MINUTES + 1, over)
        assert positive(hour.since(over - 4)) == expected(minutes, over - 4, over)


def expected(
    minutes: dict[int, dict[tuple[str, str], str]], first: int, last: int
) -> dict[tuple[str, str], Counter[str]]:
    found: dict[tuple[str, str], Counter[str]] = {}
    for minute in range(first, last + 1):
        for key, text in minutes.get(minute, {}).items():
            found.setdefault(key, Counter()).update(json.loads(text))
    return positive(found)


def positive(sums: dict[tuple[str, str], Counter[str]]) -> dict[tuple[str, str], Counter[str]]:
    return {key: +counts for key, counts in sums.items() if +counts}
