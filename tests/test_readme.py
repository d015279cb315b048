"""The README says what is true now: its links lead somewhere, its commands exist, its figures are printed.

The paths that CONTRIBUTING, the page on the architecture and the runbooks name exist too.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drills.__main__ import ALL, ALONE, DRILLS
from drills.history import drill as history
from infra.cost import bill
from tests.infra.conftest import blueprint  # noqa: F401 - the one synthesis of the session
from tests.infra.synthesis import Synthesis
from tests.support import reference as environments
from tests.test_runbooks import parse

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
# What it says in short stands on these pages in full.
FULL = ("guarantees", "your-project", "deploying", "costs", "measured")
TEXT = "\n".join([README, *((ROOT / "docs" / f"{page}.md").read_text() for page in FULL)])
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "docs/architecture.md",
    *sorted((ROOT / "runbooks").glob("*.md")),
]
PATH = re.compile(
    r"`((?:benchmarks|drills|infra|local|runbooks|taskfleet|tests|worker_image)/[\w./]*|[\w-]+\.(?:py|md|toml|json|lock))`"
)


def test_no_link_is_dead() -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in target]
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_every_path_that_a_page_for_people_names_exists() -> None:
    named = [(page, path) for page in PAGES for path in PATH.findall(page.read_text())]

    assert {"README", "CONTRIBUTING", "architecture", "no-worker"} <= {page.stem for page, _ in named}
    assert [f"{page.name}: {path}" for page, path in named if not _exists(path)] == []


def _exists(path: str) -> bool:
    """From the top, or a part of the package as pages name it: ``taskfleet/cli/``."""
    below = ROOT / "worker_image/src" if path.startswith("taskfleet/") else ROOT
    return (below / path).exists()


def test_every_make_target_it_names_exists() -> None:
    made = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)\b(?= |`|\n)", TEXT.replace("make; no", ""))) - made <= {"it"}


def test_every_drill_it_names_exists() -> None:
    named = re.findall(r"DRILL=([a-z-]+)", TEXT)
    assert named
    assert set(named) <= {*DRILLS, *ALONE, ALL, "name"}


def test_every_drill_has_its_row_and_leads_to_where_it_is_written() -> None:
    rows = dict(re.findall(r"\[`([a-z-]+)`\]\(\.\./(drills/[\w/]+\.py)\)", TEXT))

    assert set(rows) == {*DRILLS, *ALONE} - {history.NAME}  # which is about all of them
    assert [name for name, file in rows.items() if f'"{name}"' not in (ROOT / file).read_text()] == []


def test_every_fleet_command_it_names_exists() -> None:
    for command in re.findall(r"`(fleet [a-z][^`]*)`", TEXT):
        if command.split()[1:] in (["release", "promote"], ["command"]):
            command += " RELEASE"
        parse(command)


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_what_an_environment_costs_is_what_the_command_prints(
    blueprint: Synthesis,  # noqa: F811
    environment: str,
) -> None:
    stacks = f"taskfleet-{environment}-"
    templates = [t for name, t in blueprint.templates.items() if name.startswith(stacks)]
    (settings,) = (one for one in environments.ALL if one.name == environment)
    dollars = round(sum(line.dollars for line in bill(settings, templates)))
    assert f"| `{environment}` | ${dollars} |" in TEXT
    assert environment == "staging" or re.search(rf"`{environment}`\s(?:costs\s)?\${dollars}\b", README)


def test_the_figures_of_the_first_table_are_those_of_the_benchmark() -> None:
    """Of each column: tasks lost and publishes that failed, and the longest publish of a Redis that hangs."""
    measured = re.findall(
        r"^\| ([^|]+) \| broker-(kill|hang) \| \d+ \| (\d+) \| \d+ \| (\d+) \| \d+ \| ([\d.]+ s) \|",
        TEXT,
        re.MULTILINE,
    )
    killed = {who: (errors, lost) for who, fault, errors, lost, _ in measured if fault == "kill"}
    longest = {who: seconds for who, fault, _, _, seconds in measured if fault == "hang"}
    lost, failed, slow = (
        re.search(rf"^\| {row} \| (.+) \|$", README, re.MULTILINE)
        for row in (
            "tasks that were accepted and lost",
            "publishes that failed",
            "the longest publish.*?hangs",
        )
    )
    assert lost
    assert failed
    assert slow
    assert lost[1].split(" | ") == [lost for _, lost in killed.values()]
    assert failed[1].split(" | ") == [errors for errors, _ in killed.values()]
    assert slow[1].split(" | ") == list(longest.values())


def test_the_readme_is_read_in_a_few_minutes() -> None:
    assert len(README.splitlines()) <= 120
