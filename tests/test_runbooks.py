"""The runbooks: one form, no dead link, and no command that the image doesn't have."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from taskfleet.cli.main import fleet

from infra.constructs.alarms import KINDS

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


def _ids(path: Path) -> str:
    return path.stem


def test_each_page_belongs_to_an_alarm() -> None:
    assert {page.stem for page in PAGES} == set(KINDS)


def test_the_index_lists_every_page() -> None:
    linked = re.findall(r"\(([a-z-]+)\.md\)", (RUNBOOKS / "README.md").read_text())
    assert sorted(linked) == [page.stem for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_a_page_has_the_form(page: Path) -> None:
    text = page.read_text()
    assert text.startswith(f"# {page.stem}\n\n**Impact.** ")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_no_link_is_dead(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (RUNBOOKS / target).is_file(), target


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_every_fleet_command_of_a_page_exists(page: Path) -> None:
    """Each line is read by the real command line: a wrong word, option or argument fails here."""
    lines = re.findall(r"^(fleet .*)$|`(fleet [^`]*)`", page.read_text(), re.MULTILINE)
    commands = [(first or second).split("#")[0].strip() for first, second in lines]
    assert commands, "a page names the command that says whether it is real"
    for command in commands:
        parse(command)


def parse(command: str) -> None:
    """Let click read the words without running anything. Upper-case words stand for a name or a number."""
    words = [re.sub(r"^(N|OLD_NUMBER)$", "1", word) for word in shlex.split(command)[1:]]
    group: click.Command = fleet
    context = click.Context(fleet, info_name="fleet")
    while isinstance(group, click.Group):
        name, *words = words
        found = group.get_command(context, name)
        assert found is not None, f"`{command}`: there is no `{name}`"
        group = found
        context = click.Context(group, info_name=name, parent=context)
    group.parse_args(context, words)
