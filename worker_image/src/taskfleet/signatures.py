"""What an application's tasks can be called with, and which of another build's calls they can't take. Pure.

A rolling deploy has both builds on the same queues. It loses nothing if each call that the build before takes
is taken by the new one, too. That is a relation of sets, so it holds from any build to any later one.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from celery import Celery

_Kind = inspect.Parameter
_REST = (_Kind.VAR_POSITIONAL, _Kind.VAR_KEYWORD)
_BY_PLACE = (_Kind.POSITIONAL_ONLY, _Kind.POSITIONAL_OR_KEYWORD)
_KINDS = {kind.name.lower(): kind for kind in (*_BY_PLACE, _Kind.KEYWORD_ONLY, *_REST)}
_ANY = inspect.Signature([_Kind("args", _Kind.VAR_POSITIONAL), _Kind("kwargs", _Kind.VAR_KEYWORD)])

Signatures = Mapping[str, inspect.Signature]


@dataclass(frozen=True)
class Break:
    """Calls that the build before takes and this one does not. ``parameter`` is empty where all are meant."""

    task: str
    parameter: str
    why: str
    fix: str

    def __str__(self) -> str:
        what = f"{self.task}, parameter {self.parameter!r}" if self.parameter else self.task
        return f"{what}: {self.why}. Fix: {self.fix}"


def of(app: Celery) -> dict[str, inspect.Signature]:
    """The signatures of all tasks but Celery's own, with what a call passes: no ``self`` of a bound task.

    Of what a worker calls in the end: decorators that use `functools.wraps` and Celery's ``autoretry_for``
    are looked through, and ``typing=False`` changes nothing, since it only spares the check at a publish.
    """
    return {
        name: _plain(task.run) for name, task in sorted(app.tasks.items()) if not name.startswith("celery.")
    }


def _plain(run: Any) -> inspect.Signature:
    """Without annotations and the defaults' values: only that there is one counts."""
    try:
        found = inspect.signature(run)
    except (TypeError, ValueError):  # nothing that Python can look into: it may take anything
        return _ANY
    return inspect.Signature([_parameter(p.name, p.kind, p.default is not p.empty) for p in _of(found)])


def _parameter(name: str, kind: Any, optional: bool) -> inspect.Parameter:
    return inspect.Parameter(name, kind, default=None if optional else inspect.Parameter.empty)


def to_plain(signatures: Signatures) -> dict[str, list[list[Any]]]:
    """For JSON: task → name, kind, and whether there is a default, of each parameter."""
    return {
        task: [[p.name, p.kind.name.lower(), p.default is not p.empty] for p in _of(signature)]
        for task, signature in signatures.items()
    }


def from_plain(plain: Mapping[str, Sequence[Sequence[Any]]]) -> dict[str, inspect.Signature]:
    """What `to_plain` made. Raises ``ValueError`` for anything else."""
    try:
        return {
            task: inspect.Signature([_parameter(name, _KINDS[kind], bool(has)) for name, kind, has in each])
            for task, each in plain.items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"these are no signatures of tasks: {error!r}") from error


def takes(signatures: Signatures, task: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a build with these signatures can run this call."""
    if task not in signatures:
        return False
    try:
        signatures[task].bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def breaks(before: Signatures, after: Signatures) -> list[Break]:
    """The calls of the build ``before`` that ``after`` does not take, or takes in another sense."""
    found: list[Break] = []
    for task, old in sorted(before.items()):
        if task not in after:
            fix = "keep it, with an empty body, until nothing sends it any more"
            found.append(Break(task, "", "the task is gone", fix))
        else:
            found += (Break(task, *each) for each in _breaks(old, after[task]))
    return found


def _breaks(old: inspect.Signature, new: inspect.Signature) -> Iterator[tuple[str, str, str]]:
    """Parameter, why, and what to do; one for each parameter."""
    named: set[str] = set()
    for finding in (*_positions(old, new), *_keywords(old, new), *_rest(old, new), *_required(old, new)):
        if finding[0] not in named:
            named.add(finding[0])
            yield finding


_KEEP = "keep it, with a default if it is of no use any more"


def _positions(old: inspect.Signature, new: inspect.Signature) -> Iterator[tuple[str, str, str]]:
    was, now = _positional(old), _positional(new)
    at = {parameter.name: place for place, parameter in enumerate(now)}
    for place, parameter in enumerate(was):
        name = parameter.name
        taken = now[place] if place < len(now) else None
        if taken is not None and _is_at_home(parameter, taken):
            continue
        if name in at:
            why = f"a call may pass it as number {place + 1}, and it is number {at[name] + 1} now"
            yield name, why, "keep the order, and add new parameters at the end"
        elif name in new.parameters and new.parameters[name].kind is _Kind.KEYWORD_ONLY:
            yield name, "a call may pass it by position, and it is keyword-only now", "let it be either"
        elif taken is not None:
            why = f"it is gone or renamed: what a call passes as number {place + 1} goes to {taken.name!r}"
            yield name, why, _KEEP
        elif not _has(new, _Kind.VAR_POSITIONAL):
            also = " (**kwargs takes it by name only)" if _has(new, _Kind.VAR_KEYWORD) else ""
            yield name, f"it is gone, and a call may pass it by position{also}", _KEEP
    if _has(old, _Kind.VAR_POSITIONAL) and _has(new, _Kind.VAR_POSITIONAL):
        for parameter in now[len(was) :]:
            why = "it takes what calls pass in *args"
            yield parameter.name, why, "let it be keyword-only: put it behind *args, with a default"


def _keywords(old: inspect.Signature, new: inspect.Signature) -> Iterator[tuple[str, str, str]]:
    for parameter in _of(old):
        if parameter.kind not in (_Kind.POSITIONAL_OR_KEYWORD, _Kind.KEYWORD_ONLY):
            continue
        found = new.parameters.get(parameter.name)
        if found is None or found.kind in _REST:
            if not _has(new, _Kind.VAR_KEYWORD):
                yield parameter.name, "it is gone, and a call may pass it", f"{_KEEP}, or take **kwargs"
        elif found.kind is _Kind.POSITIONAL_ONLY:
            yield (
                parameter.name,
                "a call may pass it by name, and it is positional-only now",
                "let it be either",
            )


def _rest(old: inspect.Signature, new: inspect.Signature) -> Iterator[tuple[str, str, str]]:
    for kind, said in ((_Kind.VAR_POSITIONAL, "*args"), (_Kind.VAR_KEYWORD, "**kwargs")):
        if _has(old, kind) and not _has(new, kind):
            yield said, "a call may pass what only this took, and it is gone", "keep it"
    if _has(old, _Kind.VAR_KEYWORD):
        filled = None if _has(old, _Kind.VAR_POSITIONAL) else len(_positional(old))
        by_name = {p.name for p in _of(old) if p.kind is not _Kind.POSITIONAL_ONLY}
        for parameter in _positional(new)[:filled]:
            if parameter.kind is _Kind.POSITIONAL_OR_KEYWORD and parameter.name not in by_name:
                yield parameter.name, "a call may pass its name in **kwargs", "let it be positional-only"


def _required(old: inspect.Signature, new: inspect.Signature) -> Iterator[tuple[str, str, str]]:
    by_name = {p.name: p for p in _of(old) if p.kind not in (*_REST, _Kind.POSITIONAL_ONLY)}
    places = _positional(old)
    for place, parameter in enumerate(_of(new)):
        if parameter.default is not parameter.empty or parameter.kind in _REST:
            continue
        before = by_name.get(parameter.name)
        if place < len(places) and _is_at_home(places[place], parameter):
            before = places[place]
        if before is None:
            yield parameter.name, "it is new and has no default: no call passes it", "give it a default"
        elif before.default is not before.empty:
            yield parameter.name, "it has no default any more: a call may leave it out", "keep a default"


def _of(signature: inspect.Signature) -> tuple[inspect.Parameter, ...]:
    return tuple(signature.parameters.values())


def _positional(signature: inspect.Signature) -> list[inspect.Parameter]:
    return [parameter for parameter in _of(signature) if parameter.kind in _BY_PLACE]


def _is_at_home(old: inspect.Parameter, new: inspect.Parameter) -> bool:
    """Whether the same place has the same parameter. A name that no call can use may change."""
    return old.name == new.name or old.kind is new.kind is _Kind.POSITIONAL_ONLY


def _has(signature: inspect.Signature, kind: Any) -> bool:
    return any(parameter.kind is kind for parameter in _of(signature))
