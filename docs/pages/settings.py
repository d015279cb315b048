"""`docs/settings.md`: every setting of `infra.settings`, with its type and default read off the code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from docs.pages import settings_words as words
from docs.pages.settings_words import Words
from infra import settings

# In the order of the page.
EXPLAINED: Mapping[type[Any], Mapping[str, Words]] = {
    settings.Settings: words.SETTINGS,
    settings.Canary: words.CANARY,
    settings.Network: words.NETWORK,
    settings.ExistingVpc: words.EXISTING_VPC,
    settings.Broker: words.BROKER,
    settings.Pool: words.POOL,
    settings.Limits: words.LIMITS,
    settings.Allow: words.ALLOW,
    settings.Image: words.IMAGE,
    settings.Results: words.RESULTS,
    settings.ResultsCache: words.RESULTS_CACHE,
    settings.Secret: words.SECRET,
}
_UNITS = {"seconds": "seconds", "mib": "MiB", "days": "days", "units": "1/1024 vCPU"}
_HEAD = """# Settings

Every field of an environment's settings (`infra/environments.py`). Types and defaults are read off
`infra/settings.py`; this page is written by `make docs`. What can't be right is refused at synth with the
value, the rule and the fix (`infra/rules/`). A field without a default must be given.
"""


def render() -> str:
    """The page's text."""
    return _HEAD + "".join(_table(of, explained) for of, explained in EXPLAINED.items())


def _table(of: type[Any], explained: Mapping[str, Words]) -> str:
    first = (of.__doc__ or "").strip().splitlines()[0]
    hints = get_type_hints(of)
    rows = "".join(_row(one, hints[one.name], explained[one.name]) for one in fields(of) if one.name in hints)
    head = "| setting | type | default | allowed | what it does | when to change it |\n"
    return f"\n## {of.__name__}\n\n{first}\n\n{head}| --- | --- | --- | --- | --- | --- |\n{rows}"


def _row(field: Field[Any], type: Any, said: Words) -> str:
    unit = _UNITS.get(field.name.rpartition("_")[2])
    kind = _kind(type) + (f", {unit}" if unit else "")
    allowed = said.allowed or _members(type)
    return f"| `{field.name}` | {kind} | {_default(field)} | {allowed} | {said.does} | {said.change} |\n"


def _kind(type: Any) -> str:
    if get_origin(type) in (Union, UnionType):
        return " or ".join(_kind(one) for one in get_args(type))
    if get_origin(type) is tuple:
        return f"tuple of {_kind(get_args(type)[0])}"
    if get_args(type):
        return f"dict of text to {_kind(get_args(type)[1])}"
    plain = {int: "whole number", str: "text", bool: "True or False", None.__class__: "None"}
    return plain.get(type) or f"`{type.__name__}`"


def _members(type: Any) -> str:
    return ", ".join(f"`{type.__name__}.{one.name}`" for one in type) if _is_enum(type) else ""


def _is_enum(given: Any) -> bool:
    return isinstance(given, type) and issubclass(given, Enum)


def _default(field: Field[Any]) -> str:
    if field.default_factory is not MISSING:
        return "none"
    if field.default is MISSING:
        return ""
    value = field.default
    if _is_enum(value.__class__):
        return f"`{value.__class__.__name__}.{value.name}`"
    if is_dataclass(value):
        return f"`{value.__class__.__name__}()`"
    if isinstance(value, str) and len(value) > 60:
        return f"`{value.partition('@')[0]}`, by digest"
    return f"`{value!r}`"
