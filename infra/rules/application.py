"""The Celery application that the settings name is in the image that is built here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from taskfleet.contract.limits import ANSWER_WITHIN_SECONDS, GATE_DEADLINE_SECONDS

from infra.rules.problem import Problem

if TYPE_CHECKING:
    from infra.settings import Settings

# The deploy waits for the gate after it, too, which may take twice its time.
MAX_BEFORE_GATE_SECONDS = ANSWER_WITHIN_SECONDS - 2 * GATE_DEADLINE_SECONDS
SOURCE = Path(__file__).parents[2] / "worker_image" / "src"


def _application(settings: Settings) -> Iterator[Problem]:
    module, colon, attribute = settings.app.partition(":")
    if settings.image.uri is not None or not colon:
        return  # what an image of somebody else's holds is not known here
    file = _file(module)
    if file is None:
        yield Problem(
            setting="app",
            value=settings.app,
            rule=f"there is no module {module!r} in worker_image/src, nor among the image's dependencies",
            fix="correct it, or put the package there (worker_image/pyproject.toml for a dependency)",
        )
    elif attribute not in (names := _names(file)) and "*" not in names:
        yield Problem(
            setting="app",
            value=settings.app,
            rule=f"{file.name} of {module} has no {attribute!r}",
            fix="name the variable that holds the Celery application",
        )


def _file(module: str) -> Path | None:
    """Where it is, found without running any of it."""
    top, *rest = module.split(".")
    place: Path | None = SOURCE / top
    if not (SOURCE / top).is_dir() and not (SOURCE / f"{top}.py").is_file():
        try:
            found = find_spec(top)
        except (ImportError, ValueError):
            return None
        if found is None or found.origin is None:
            return None
        origin = Path(found.origin)
        place = origin.parent if origin.name == "__init__.py" else origin.with_suffix("")
    path = Path(place, *rest) if place else Path(top, *rest)
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _names(file: Path) -> set[str]:
    """What a module binds, anywhere in it; `*` if that can't be told."""
    bound: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            bound |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef) and node.name == "__getattr__":
            bound.add("*")
    return bound


def _before_gate(settings: Settings) -> Iterator[Problem]:
    # No program's name has a space; a line for a shell, as the error of types proposes one in a tuple, has.
    if any(not word or " " in word for word in settings.before_gate[:1]):
        yield Problem(
            setting="before_gate",
            value=settings.before_gate,
            rule="its first word is the program that is run",
            fix='write the command word by word, as ("python", "manage.py", "migrate"), or () for none',
        )
    if not 1 <= settings.before_gate_timeout_seconds <= MAX_BEFORE_GATE_SECONDS:
        yield Problem(
            setting="before_gate_timeout_seconds",
            value=settings.before_gate_timeout_seconds,
            rule=f"its deploy waits for it: 1 to {MAX_BEFORE_GATE_SECONDS} seconds",
            fix="run what takes longer by hand, with `fleet run`, before the deploy",
        )


RULES = (_application, _before_gate)
