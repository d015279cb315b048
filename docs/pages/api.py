"""`docs/api.md`: the public names of the package, from their docstrings."""

from __future__ import annotations

import inspect
import re
from typing import Any

import taskfleet
from taskfleet import tools

_HEAD = """# Python API

What an application's own code imports: from `taskfleet`, and tools for tasks from `taskfleet.tools`. Every
other module is private: it may change in any version. `make docs` writes this page from the docstrings.

```python
from celery import Celery
from taskfleet import PublishError, idempotency_key, install, publish_many
```
"""
_ANNOTATION = re.compile(r"(: |-> )(['\"])(.*?)\2(?=,| =|\)|$)")
_TOOLS = """
Imported from `taskfleet.tools`; what they are for is in [the toolkit](toolkit.md).
"""
# What a docstring refers to by its full path is on this page, under its name.
_REFERENCE = re.compile(r"`taskfleet\.(?:errors\.)?(\w+)`")


def render() -> str:
    """The page's text."""
    names = [name for public in taskfleet.PUBLIC.values() for name in public]
    of_all = "".join(_section(name, getattr(taskfleet, name)) for name in names)
    of_tools = "".join(_section(name, getattr(tools, name)) for name in tools.__all__)
    return f"{_HEAD}{of_all}\n# Task tools\n{_TOOLS}{of_tools}"


def _section(name: str, item: Any) -> str:
    text = _REFERENCE.sub(_link, inspect.getdoc(item) or "").replace("``", "`")
    return f"\n## {name}\n\n```python\n{_declaration(name, item)}\n```\n\n{text}\n"


def _declaration(name: str, item: Any) -> str:
    if inspect.isclass(item):
        return f"class {name}({item.__bases__[0].__name__})"
    # Annotations are text, and so are printed in quotation marks; defaults keep theirs.
    return _ANNOTATION.sub(r"\1\3", f"{name}{inspect.signature(item)}")


def _link(found: re.Match[str]) -> str:
    name = found[1]
    return f"[{name}](#{name.lower()})" if name in taskfleet.__all__ else found[0]
