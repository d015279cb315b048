"""Texts that users read say what AWS's and Celery's documentation would say: old words of ours stay out.

Read are the README, the documentation, the runbooks, `fleet`'s help, `make help`, and every text in the
code that is not a docstring: errors, log lines, alarms, descriptions of metrics and settings. And what
classes, functions and modules are called.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from taskfleet.cli.main import fleet

ROOT = Path(__file__).parents[1]
CODE = ("worker_image/src/taskfleet", "infra", "local", "drills", "benchmarks")
# The old word, and what is said instead.
WORDS = {
    r"mute": "does not answer",
    r"twins?": "fallback queue on SQS",
    r"widows?|widowed": "orphaned",
    r"(?:is|are|was|be|been) told(?! apart)": "notified, informed; receives; cannot reach",
    r"asks? nothing": "does not ask for approval; makes no calls",
    r"so manieth": "every n-th",
    r"(?<!dead )(?<!dead-)letters?(?= (?:is|are|was|were|has|stays|of this))": "dead letter",
}
# Where a word is the field's own, or part of a name in another's text.
ALLOWED = {
    "`progress` was told",  # the argument `progress` of `publish_many`
    "producers are told ",
}


def old_words(text: str) -> Iterator[str]:
    """Each old word in a text, with what to say instead."""
    for allowed in ALLOWED:
        text = text.replace(allowed, "")
    for word, instead in WORDS.items():
        for found in re.finditer(rf"\b(?:{word})\b", text, re.IGNORECASE):
            around = text[max(0, found.start() - 40) : found.end() + 20].replace("\n", " ")
            yield f"…{around}…: say {instead!r}"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("its SQS twin", 1),
        ("Redis could not be told that", 1),
        ("a dead letter is kept", 0),
        ("the letter is kept", 1),
        ("messages can't be told apart", 0),
        ("the first letter", 0),
        ("a muted channel", 0),
    ],
)
def test_old_words_are_found(text: str, count: int) -> None:
    assert len(list(old_words(text))) == count


PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "Makefile")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "runbooks").glob("*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_has_one(page: Path) -> None:
    assert list(old_words(page.read_text())) == []


def commands(command: click.Command, *names: str) -> Iterator[tuple[str, click.Command]]:
    """Every command of `fleet`, with its name."""
    yield " ".join(names), command
    if isinstance(command, click.Group):
        for name, one in command.commands.items():
            yield from commands(one, *names, name)


def test_no_help_has_one() -> None:
    found = {
        name: list(old_words(command.get_help(click.Context(command, info_name=name))))
        for name, command in commands(fleet, "fleet")
    }

    assert len(found) > 20
    assert {name: words for name, words in found.items() if words} == {}


def texts(file: Path) -> Iterator[tuple[int, str]]:
    """Every text of a module that is not a docstring, a script of another language, or a single word."""
    tree = ast.parse(file.read_text())
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in alone:
            continue
        if " " in node.value and not node.value.startswith("\n"):
            yield node.lineno, node.value


def test_no_message_has_one() -> None:
    found = [
        f"{file.relative_to(ROOT)}, line {line}: {words}"
        for folder in CODE
        for file in sorted((ROOT / folder).rglob("*.py"))
        for line, text in texts(file)
        for words in old_words(text)
    ]

    assert found == []


# A class's or a module's old name, and what it is called now.
NAMES = {
    "Kept": "CachedRead",
    "Guarded": "BreakerGuarded",
    "Edges": "Clients",
    "Look": "FleetSnapshot",
    "Left": "RemainingWork",
    "Letter": "DeadLetter",
    "Watch": "what it watches, as AlarmCondition",
    "Kind": "whose kind, as DeadLetterKind",
    "zeros": "consecutive_empty_looks",
    "only": "force_broker",
    "widows": "orphaned_sessions",
    "moves": "what it changes, as promotion",
}


def names_of(file: Path) -> Iterator[str]:
    """What a module and its classes and functions are called."""
    yield file.stem
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name


def test_no_class_function_or_module_has_an_old_name() -> None:
    modules = [file for folder in CODE for file in sorted((ROOT / folder).rglob("*.py"))]
    found = [
        f"{file.relative_to(ROOT)}: say {NAMES[name]} instead of {name}"
        for file in modules
        for name in names_of(file)
        if name in NAMES
    ]

    assert found == []
    assert len([file for file in modules if file.stem == "plan"]) == 1, "a plan of what? say it in its name"
