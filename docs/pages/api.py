"""`docs/api.md`: the public names of the package, from their docstrings."""

from __future__ import annotations

import inspect
import re
from typing import Any

import taskfleet

_HEAD = """# Python API

What an application's own code imports, all of it from `taskfleet`. Every other module is private: it may
change in any version. This page is written from the docstrings by `make docs`.

```python
from celery import Celery
from taskfleet import PublishError, idempotency_key, install
```
"""
# What a docstring refers to by its full path is on this page, under its name.
_REFERENCE = re.compile(r"`taskfleet\.(?:errors\.)?(\w+)`")


def render() -> str:
    """The page's text."""
    names = [name for public in taskfleet.PUBLIC.values() for name in public]
    return _HEAD + "".join(_section(name, getattr(taskfleet, name)) for name in names)


def _section(name: str, item: Any) -> str:
    text = _REFERENCE.sub(_link, inspect.getdoc(item) or "").replace("``", "`")
    return f"\n## {name}\n\n```python\n{_declaration(name, item)}\n```\n\n{text}\n"


def _declaration(name: str, item: Any) -> str:
    if inspect.isclass(item):
        return f"class {name}({item.__bases__[0].__name__})"
    return f"{name}{inspect.signature(item)}".replace("'", "")


def _link(found: re.Match[str]) -> str:
    name = found[1]
    return f"[{name}](#{name.lower()})" if name in taskfleet.__all__ else found[0]
