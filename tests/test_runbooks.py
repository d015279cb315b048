"""The runbooks: one form, no dead link, and no command that `fleet` doesn't have."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from taskfleet.cli.main import fleet
from taskfleet.cli.operator import SILENT_AFTER_SECONDS
from taskfleet.contract.alarm_catalogue import CATALOGUE
from taskfleet.contract.alarms import Alarm
from taskfleet.contract.dead_letters import KEEP_SECONDS

RUNBOOKS = Path(__file__).parents[1] / "runbooks"
PAGES = sorted(path for path in RUNBOOKS.glob("*.md") if path.stem != "README")
HEADINGS = [
    "Is it real",
    "Stop the bleeding",
    "Decide by number",
    "Verify",
    "Escalate",
    "Afterwards",
]
# What pages say of numbers that are no alarm's.
MORE = {
    "controller-silent": (f"More than {SILENT_AFTER_SECONDS} s: real",),
    "dead-letters": (f"kept for {KEEP_SECONDS // 86400} days", f"gone after {KEEP_SECONDS // 86400} days"),
}
MOST_LINES = 60


def _ids(path: Path) -> str:
    return path.stem


def test_each_page_belongs_to_an_alarm() -> None:
    assert {page.stem for page in PAGES} == set(CATALOGUE)


def test_the_index_lists_every_page() -> None:
    linked = re.findall(r"\(([a-z-]+)\.md\)", (RUNBOOKS / "README.md").read_text())
    assert sorted(linked) == [page.stem for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_a_page_has_the_form(page: Path) -> None:
    text = page.read_text()
    assert text.startswith(f"# {page.stem}\n\n**Impact.** ")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS


@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=lambda kind: kind.name)
def test_a_page_says_the_numbers_of_its_alarm(kind: Alarm) -> None:
    text = (RUNBOOKS / f"{kind.name}.md").read_text()
    assert [said for said in (*kind.says, *MORE.get(kind.name, ())) if said not in text] == []


def test_the_index_tells_those_that_call_somebody_from_those_that_scale() -> None:
    called, works = (RUNBOOKS / "README.md").read_text().split("| works by itself")
    for name, kind in CATALOGUE.items():
        assert f"[{name}]({name}.md)" in (called if kind.for_a_person else works)


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_a_page_is_short(page: Path) -> None:
    assert len(page.read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_no_link_is_dead(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (RUNBOOKS / target).is_file(), target


@pytest.mark.parametrize("page", [*PAGES, RUNBOOKS.parent / "docs" / "operators.md"], ids=_ids)
def test_every_fleet_command_of_a_page_exists(page: Path) -> None:
    """Each line is read by the real command line: a wrong word, option or argument fails here."""
    lines = re.findall(r"^(fleet .*)$|`(fleet [^`]*)`", page.read_text(), re.MULTILINE)
    commands = [(first or second).split("#")[0].strip() for first, second in lines]
    assert commands, "a page names the command that says whether it is real"
    for command in commands:
        parse(command)


def parse(command: str) -> None:
    """Let click read the words without running anything. Upper-case words stand for a name or a number."""
    words = [re.sub(r"^N$", "1", word) for word in shlex.split(command)[1:]]
    group: click.Command = fleet
    context = click.Context(fleet, info_name="fleet")
    while isinstance(group, click.Group):
        name, *words = words
        found = group.get_command(context, name)
        assert found is not None, f"`{command}`: there is no `{name}`"
        group = found
        context = click.Context(group, info_name=name, parent=context)
    group.parse_args(context, words)
