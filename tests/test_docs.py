"""The generated pages say what the code says, and every link in the documentation leads somewhere."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import taskfleet
from taskfleet.gate_checks import Marked, marked

from docs.pages.settings import EXPLAINED
from docs.pages.written import FOLDER, PAGES
from infra import settings

_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_WRITTEN = sorted(
    [*FOLDER.glob("*.md"), *(FOLDER.parent / name for name in ("README.md", "CONTRIBUTING.md"))]
)


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_current(name: str) -> None:
    assert (FOLDER / name).read_text() == PAGES[name](), "run `make docs`"


def test_every_field_of_the_settings_is_explained_and_no_other() -> None:
    holders = [one for one in vars(settings).values() if isinstance(one, type) and is_dataclass(one)]

    assert set(holders) == set(EXPLAINED)
    for holder in holders:
        assert {field.name for field in fields(holder) if field.name != "_"} == set(EXPLAINED[holder]), holder
    for holder, explained in EXPLAINED.items():
        empty = [name for name, said in explained.items() if not (said.does and said.change)]
        assert empty == [], holder


@pytest.mark.parametrize("page", _WRITTEN, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_is_on_the_front_page() -> None:
    front = (FOLDER / "README.md").read_text()
    assert [page.name for page in FOLDER.glob("[a-z]*.md") if f"({page.name})" not in front] == []


def test_the_public_names_are_those_that_are_documented() -> None:
    assert sorted(name for names in taskfleet.PUBLIC.values() for name in names) == sorted(taskfleet.__all__)
    for name in taskfleet.__all__:
        assert len(getattr(taskfleet, name).__doc__.split()) > 5, name


def test_the_example_of_the_toolkit_is_python_that_runs() -> None:
    examples = re.findall(r"```python\n(.*?)```", (FOLDER / "toolkit.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {"__name__": "example"}  # as a module has it: Celery asks tasks for theirs
    for example in examples:
        exec(example, names)  # noqa: S102 - it is our own page
    assert names["report"]([1], "March") == "March: 1 rows"
    assert names["index"]({"shop": "north", "id": -1}) == [0]
    assert names["pay"](7) == "order 7 paid"
    assert names["ask_bank"].apply(("a", 1)).successful()


def test_the_example_of_a_check_is_one_that_a_worker_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (example,) = (
        text
        for text in re.findall(r"```python\n(.*?)```", (FOLDER / "deploying.md").read_text(), re.DOTALL)
        if "taskfleet.gate" in text
    )
    names: dict[str, Any] = {"__name__": "example"}  # as a module has it: Celery asks tasks for theirs
    exec(example, names)  # noqa: S102 - it is our own page
    # Tasks of other tests in this process are shared with every app.
    ours = {name: mark for name, mark in marked(names["app"]).items() if name.startswith("shop.")}
    assert ours == {"shop.orders_have_a_currency": Marked("low", 30)}
    monkeypatch.chdir(tmp_path)
    database = sqlite3.connect("shop.sqlite")
    database.execute("CREATE TABLE orders (id INTEGER)")
    with pytest.raises(sqlite3.OperationalError, match="no such column: currency"):
        names["orders_have_a_currency"]()
    database.execute("ALTER TABLE orders ADD COLUMN currency TEXT")
    names["orders_have_a_currency"]()


def test_install_works_however_often_and_after_whatever_was_imported() -> None:
    script = (
        "import taskfleet, sys; assert 'celery' not in sys.modules; from celery import Celery\n"
        "for _ in range(2): taskfleet.install(Celery('app'))\n"
        "import taskfleet.installing; taskfleet.install(Celery('app'))"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_an_unknown_name_is_an_error_that_says_what_there_is() -> None:
    with pytest.raises(AttributeError, match=r"it has ChainTooLong, .*install"):
        taskfleet.instal  # noqa: B018
