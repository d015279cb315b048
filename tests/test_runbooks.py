"""The runbooks: one form, no dead link, and no command that the image doesn't have."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from taskfleet.cli.main import fleet
from taskfleet.cli.operator import SILENT_AFTER_SECONDS
from taskfleet.contract.dead_letters import KEEP_SECONDS
from taskfleet.contract.metrics import LOOK_SECONDS

from infra.constructs import fleet_alarms, pool_alarms
from infra.constructs.alarms import KINDS, Audience

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
DOWN = f"has not answered the controller for {fleet_alarms.DOWN_LOOKS * LOOK_SECONDS} s."
# Page → what it says of the numbers that its alarm has, and of others that stand in the code.
NUMBERS = {
    "backlog-old": (
        f"more than {pool_alarms.OLD_TARGETS} times as long as the pool's latency target, "
        f"for {pool_alarms.OLD_MINUTES} minutes.",
        f"above {pool_alarms.OLD_TARGETS} times the\ntarget",
        f"two looks ({LOOK_SECONDS} s apart)",
    ),
    "no-worker": (f"no worker for {pool_alarms.NO_WORKER_MINUTES} minutes:",),
    "fallback-in-use": (f"held messages for {pool_alarms.FALLBACK_MINUTES} minutes:",),
    "controller-silent": (
        f"took no look for {fleet_alarms.SILENT_MINUTES} minutes.",
        f"More than {SILENT_AFTER_SECONDS} s: real",
        f"every {LOOK_SECONDS} s",
    ),
    "broker-down": (DOWN,),
    "fallback-down": (DOWN,),
    "broker-memory": (
        f"{fleet_alarms.MEMORY_PERCENT} % of its memory or more for {fleet_alarms.MEMORY_MINUTES} minutes.",
    ),
    "broker-cpu": (f"{fleet_alarms.CPU_PERCENT} % busy or more for {fleet_alarms.CPU_MINUTES} minutes:",),
    "beat-silent": (f"not ticked for {fleet_alarms.BEAT_SILENT_SECONDS} s:",),
    "dead-letters": (f"kept for {KEEP_SECONDS // 86400} days", f"gone after {KEEP_SECONDS // 86400} days"),
}
WITHOUT = {"drain-overdue"}  # its deadline is a setting, and its alarm says one or none


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


def test_a_page_says_the_numbers_of_its_alarm() -> None:
    called = {name for name, kind in KINDS.items() if kind.audience is Audience.PERSON}

    assert set(NUMBERS) | WITHOUT == called
    for page, said in NUMBERS.items():
        text = (RUNBOOKS / f"{page}.md").read_text()
        assert [one for one in said if one not in text] == [], page


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
