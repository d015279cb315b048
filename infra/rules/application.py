"""The Celery application that the settings name is in the image that is built here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from infra.rules.problem import Problem

if TYPE_CHECKING:
    from infra.settings import Settings

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


RULES = (_application,)
