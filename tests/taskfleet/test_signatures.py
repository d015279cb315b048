"""Which calls of one build another one can't take."""

from __future__ import annotations

import functools
import inspect
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from taskfleet import install, signatures


def _function(text: str) -> Callable[..., None]:
    scope: dict[str, Any] = {}
    exec(f"def run({text}): pass", scope)  # noqa: S102 - the tables below
    run: Callable[..., None] = scope["run"]
    return run


def signature(text: str) -> inspect.Signature:
    return inspect.signature(_function(text))


def breaks(old: str, new: str) -> dict[str, str]:
    """Parameter → why."""
    found = signatures.breaks({"shop.charge": signature(old)}, {"shop.charge": signature(new)})
    assert {one.task for one in found} <= {"shop.charge"}
    assert all(one.fix for one in found)
    return {one.parameter: one.why for one in found}


TAKEN = [
    ("", ""),
    ("a, b", "a, b"),
    ("a, b", "a, b=1"),
    ("a", "a, b=1"),
    ("a", "a, *, b=1"),
    ("a", "a, *args"),
    ("a", "a, **kwargs"),
    ("a, b=1", "a, *args, **kwargs"),
    ("a, b=1", "*args, **kwargs"),
    ("a, *, b", "a, **kwargs"),
    ("a, *, b", "a, *, b=1"),
    ("a, *, b", "a, b=1"),
    ("a, /", "a"),
    ("a, /", "other, /"),
    ("a, *args", "a, *args, b=1"),
    ("*args, **kwargs", "*args, b=1, **kwargs"),
]


@pytest.mark.parametrize(("old", "new"), TAKEN)
def test_what_takes_every_call_of_before_breaks_nothing(old: str, new: str) -> None:
    assert breaks(old, new) == {}


BROKEN = [
    ("a, b", "a", {"b": "gone"}),
    ("a, b", "a, **kwargs", {"b": "by name only"}),
    ("a, *, b", "a", {"b": "gone"}),
    ("a, b", "a, c", {"b": "goes to 'c'", "c": "new and has no default"}),
    ("a, b=1", "a, c=1", {"b": "goes to 'c'"}),
    ("a", "a, b", {"b": "new and has no default"}),
    ("a", "a, *, b", {"b": "new and has no default"}),
    ("a, b=1", "a, b", {"b": "no default any more"}),
    ("a, b", "b, a", {"a": "number 1, and it is number 2 now", "b": "number 2, and it is number 1 now"}),
    ("a, b", "a, first=0, b=0", {"b": "number 2, and it is number 3 now"}),
    ("a, b", "a, *, b", {"b": "keyword-only now"}),
    ("a", "a, /", {"a": "positional-only now"}),
    ("a", "a=1, /, **kwargs", {"a": "positional-only now"}),
    ("a, *args", "a", {"*args": "gone"}),
    ("a, **kwargs", "a", {"**kwargs": "gone"}),
    ("a, *args", "a, b=1, *args", {"b": "takes what calls pass in *args"}),
    ("*args, **kwargs", "a=1, *args, **kwargs", {"a": "takes what calls pass in *args"}),
    ("args", "*args", {"args": "gone"}),
]


@pytest.mark.parametrize(("old", "new", "expected"), BROKEN)
def test_each_parameter_that_breaks_a_call_is_named(old: str, new: str, expected: dict[str, str]) -> None:
    found = breaks(old, new)
    assert set(found) == set(expected)
    for parameter, why in expected.items():
        assert why in found[parameter]


def test_a_task_that_is_gone() -> None:
    (found,) = signatures.breaks({"shop.charge": signature("a")}, {"shop.other": signature("a")})
    assert str(found) == (
        "shop.charge: the task is gone. Fix: keep it, with an empty body, until nothing sends it any more"
    )


def test_a_new_task_breaks_nothing() -> None:
    assert signatures.breaks({}, {"shop.charge": signature("a")}) == []


# -- every pair of small signatures, against every small call ---------------------------------------------

_PIECES = ("a", "b", "a=0", "b=0", "/", "*", "*args", "**kwargs")


def _all() -> Iterator[str]:
    for length in range(5):
        for pieces in itertools.permutations(_PIECES, length):
            text = ", ".join(pieces)
            try:
                compile(f"def run({text}): pass", "", "exec")
            except SyntaxError:
                continue
            yield text


_CALLS = [
    (args, dict.fromkeys(names, 0))
    for args in ((), (1,), (1, 2), (1, 2, 3))
    for size in range(4)
    for names in itertools.combinations(("a", "b", "x"), size)
]


def _takes(run: Callable[..., None], args: tuple[int, ...], kwargs: dict[str, int]) -> bool:
    try:
        run(*args, **kwargs)
    except TypeError:
        return False
    return True


def test_nothing_is_called_compatible_that_refuses_a_call() -> None:
    """By Python itself, not by what it says of a signature."""
    every = [(text, signature(text)) for text in _all()]
    taken = {
        text: frozenset(n for n, call in enumerate(_CALLS) if _takes(_function(text), *call))
        for text, _ in every
    }
    checked = 0
    for (old, was), (new, now) in itertools.product(every, every):
        compatible = signatures.breaks({"t": was}, {"t": now}) == []
        checked += compatible
        assert taken[old] <= taken[new] or not compatible, (old, new)
    assert checked > len(every)


# -- what is read of an application ------------------------------------------------------------------------


@pytest.fixture
def app() -> Celery:
    return install(Celery("shop", set_as_current=False))


def _of(app: Celery, name: str) -> str:
    return str(signatures.of(app)[name])


def test_a_call_passes_no_self(app: Celery) -> None:
    @app.task(name="shop.bound", bind=True)
    def bound(self: Any, a: int, b: int = 1) -> None: ...

    @app.task(name="shop.retried", bind=True, autoretry_for=(OSError,))
    def retried(self: Any, a: int, *, c: int) -> None: ...

    @app.task(name="shop.untyped", typing=False, autoretry_for=(OSError,))
    def untyped(a: int) -> None: ...

    class Made(app.Task):  # type: ignore[misc,name-defined]
        name = "shop.made"

        def run(self, a: int, *more: int) -> None: ...

    app.register_task(Made())
    assert _of(app, "shop.bound") == "(a, b=None)"
    assert _of(app, "shop.retried") == "(a, *, c)"
    assert _of(app, "shop.untyped") == "(a)"
    assert _of(app, "shop.made") == "(a, *more)"
    assert not [name for name in signatures.of(app) if name.startswith("celery.")]


def test_decorators_are_looked_through(app: Celery) -> None:
    def logged(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> None:
            function(*args, **kwargs)

        return run

    @app.task(name="shop.logged")
    @logged
    def task(a: int) -> None: ...

    assert _of(app, "shop.logged") == "(a)"


def test_they_survive_json() -> None:
    made = {"t": signature("a, /, b, *args, c=1, d, **kwargs"), "u": signature("")}
    back = signatures.from_plain(json.loads(json.dumps(signatures.to_plain(made))))
    assert str(back["t"]) == "(a, /, b, *args, c=None, d, **kwargs)"
    assert signatures.breaks(made, back) == signatures.breaks(back, made) == []
    with pytest.raises(ValueError, match="no signatures of tasks"):
        signatures.from_plain({"t": [["a", "sideways", False]]})
