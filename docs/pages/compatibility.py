"""`docs/compatibility-table.md`: each feature of Celery's guide, from the last comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import NamedTuple

from tests.compat.compare import DIFFERENT, NOT_AVAILABLE, SAME
from tests.compat.differences import DIFFERENCES, NOT_TRIED, Difference
from tests.compat.feature import BROKERS, CELLS, POOLS, SECTIONS, Cell, Feature, all_features
from tests.compat.table import read

Results = Mapping[str, Mapping[str, str]]
_GUIDE = "https://docs.celeryq.dev/en/stable/userguide"
_PAGES = {"periodic": "periodic-tasks"}
_ONCE = " °"
_WORDS = {SAME: "same", DIFFERENT: "different", NOT_AVAILABLE: "not available"}
_HEAD = """# Celery's features, one by one

Each feature of Celery's user guide is a small program in `tests/compat/`. `make compat` runs it twice in each
cell (a broker and a kind of pool): on a stock worker of Celery 5.7, and on one of the fleet that is started
as the image starts it, against the same servers. On SQS the fleet's Redis is away. What both see is compared.

- **same**: both observe what the guide says.
- **different**: it works, otherwise, on purpose.
- **not available**: the fleet refuses it, or it has no effect there.
- **none**: Celery does not have it there (remote control on SQS, time limits in threads).

A difference without a reason makes `make compat` fail, and so does a reason without a difference. A feature
marked ° depends on neither broker nor pool and was tried in one cell. `make docs` writes this page from the
results of the last whole run (`tests/compat/results.json`).

"""


def render() -> str:
    """The page's text."""
    return page(all_features(), read())


def page(features: Mapping[str, Feature], results: Results) -> str:
    """The page of these features and results."""
    text = _HEAD + _counts(features.values(), results)
    for section, title in SECTIONS.items():
        of_section = [each for each in features.values() if each.section == section]
        text += f"\n## {title}\n\n{_GUIDE}/{_PAGES.get(section, section)}.html\n\n"
        text += "| feature | Redis | SQS | why, and what instead |\n| --- | --- | --- | --- |\n"
        text += "".join(f"| {' | '.join(row)} |\n" for row in _rows(of_section, results))
    text += "\n## What was not tried\n\n| what | why |\n| --- | --- |\n"
    return text + "".join(f"| {what} | {why} |\n" for what, why in NOT_TRIED.items())


def _counts(features: Iterable[Feature], results: Results) -> str:
    features = list(features)
    lines = [
        f"{len(features)} features:",
        "",
        "| cell | same | different | not available |",
        "| --- | --- | --- | --- |",
    ]
    for cell in CELLS:
        said = Counter(_verdict(each, cell, results) for each in features)
        lines.append(
            f"| {cell.broker}, {cell.pool} | {said[SAME]} | {said[DIFFERENT]} | {said[NOT_AVAILABLE]} |"
        )
    return "\n".join(lines) + "\n"


def _verdict(feature: Feature, cell: Cell, results: Results) -> str:
    if cell.broker not in feature.brokers or cell.pool not in feature.pools:
        return "none"
    if feature.once:
        (cell,) = feature.cells()
    return results.get(str(cell), {}).get(feature.id, "none")


class _Row(NamedTuple):
    feature: Feature
    cells: tuple[str, ...]


def _rows(features: Iterable[Feature], results: Results) -> Iterable[tuple[str, ...]]:
    rows = [
        _Row(each, (*(_of_broker(each, broker, results) for broker in BROKERS), _why(each)))
        for each in features
    ]
    for (group, cells), members in groupby(rows, key=lambda row: (row.feature.group, row.cells)):
        found = [row.feature for row in members]
        if group:
            yield (f"{group}{_ONCE}: {', '.join(each.name for each in found)}", *cells)
        else:
            yield from ((each.name + (_ONCE if each.once else ""), *cells) for each in found)


def _of_broker(feature: Feature, broker: str, results: Results) -> str:
    by_pool = {pool: _verdict(feature, Cell(broker, pool), results) for pool in POOLS}
    if len(set(by_pool.values())) == 1:
        return next(iter(by_pool.values()))
    found = [
        f"{', '.join(pool for pool in POOLS if by_pool[pool] == says)}: {_WORDS.get(says, says)}"
        for says in dict.fromkeys(by_pool.values())
    ]
    return "; ".join(found)


def _why(feature: Feature) -> str:
    found = DIFFERENCES.get(feature.id, ())
    return " ".join(_reason(each, several=len(found) > 1) for each in found)


def _reason(difference: Difference, *, several: bool) -> str:
    where = ""
    if several or difference.brokers != BROKERS or difference.pools != POOLS:
        brokers = " and ".join({"redis": "Redis", "sqs": "SQS"}[each] for each in difference.brokers)
        where = f"{brokers}: " if difference.pools == POOLS else f"{brokers}, {', '.join(difference.pools)}: "
    instead = f" Instead: {difference.instead}." if difference.instead else ""
    return f"{where}{difference.why}.{instead}"
