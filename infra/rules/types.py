"""Values of the wrong type: said before any other rule, which would fail of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from infra.rules.problem import Problem

if TYPE_CHECKING:
    from infra.settings import Settings


def problems(settings: Settings) -> list[Problem]:
    """Every setting whose value is not of its type, those of pools, limits and the like included."""
    return list(_of(settings, ""))


def _of(holder: Any, prefix: str) -> Iterator[Problem]:
    hints = get_type_hints(type(holder))
    for each in fields(holder):
        yield from _check(f"{prefix}{each.name}", getattr(holder, each.name), hints[each.name])


def _check(setting: str, value: Any, wanted: Any) -> Iterator[Problem]:
    if get_origin(wanted) in (Union, UnionType):
        # What it fits is looked into: the items of a tuple, the fields of settings within settings.
        wanted = next((each for each in get_args(wanted) if _fits(value, each)), wanted)
    if get_origin(wanted) is tuple and isinstance(value, tuple):
        of = get_args(wanted)[0]
        for number, item in enumerate(value):
            yield from _check(_item(setting, number, item), item, of)
    elif get_origin(wanted) is not None and _is_mapping(wanted) and isinstance(value, Mapping):
        of = get_args(wanted)[1]
        for key, item in value.items():
            yield from _check(f"{setting}[{key!r}]", item, of)
    elif not _fits(value, wanted):
        yield Problem(setting=setting, value=value, rule=f"must be {_words(wanted)}", fix=_fix(value, wanted))
    elif is_dataclass(value):
        of_a_pool = setting.startswith("pool ") and ": " not in setting
        yield from _of(value, f"{setting}: " if of_a_pool else f"{setting}.")


def _item(setting: str, number: int, item: Any) -> str:
    """Pools go by their names, as in every other rule."""
    name = getattr(item, "name", None)
    return f"pool {name}" if setting == "pools" and isinstance(name, str) else f"{setting}[{number}]"


def _fits(value: Any, wanted: Any) -> bool:
    if get_origin(wanted) in (Union, UnionType):
        return any(_fits(value, each) for each in get_args(wanted))
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, get_origin(wanted) or wanted)


def _is_mapping(wanted: Any) -> bool:
    return isinstance(get_origin(wanted), type) and issubclass(get_origin(wanted), Mapping)


def _words(wanted: Any) -> str:
    if get_origin(wanted) in (Union, UnionType):
        return " or ".join(_words(each) for each in get_args(wanted))
    if get_origin(wanted) is tuple:
        return f"a tuple, each item {_words(get_args(wanted)[0])}"
    if _is_mapping(wanted):
        of = get_args(wanted)[1]
        return "a dict of texts" if of is str else f"a dict, each value {_words(of)}"
    plain = {int: "a whole number", str: "a text", bool: "True or False", type(None): "None"}
    article = "an" if wanted.__name__[0] in "AEIOU" else "a"
    return plain.get(wanted, f"{article} {wanted.__name__}")


def _fix(value: Any, wanted: Any) -> str:
    choices = [each for each in get_args(wanted) or (wanted,) if isinstance(each, type)]
    if get_origin(wanted) is tuple:
        return f"a tuple of one needs its comma: ({value!r},)" if isinstance(value, str) else "write (…, …)"
    for each in choices:
        if issubclass(each, Enum):
            names = [f"{each.__name__}.{member.name}" for member in each if member.value == value]
            return names[0] if names else ", ".join(f"{each.__name__}.{member.name}" for member in each)
    if int in choices and isinstance(value, str) and value.strip().isdigit():
        return f"{value.strip()}, without quotes"
    if str in choices:
        return f"in quotes: {str(value)!r}"
    return f"give {_words(wanted)}"
