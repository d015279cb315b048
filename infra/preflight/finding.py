"""One answer of the checklist, and the page of them."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What an answer means for a deploy."""

    OK = "ok"
    LOOK = "look"  # a deploy succeeds, and somebody may still be sorry
    UNKNOWN = "unknown"  # could not be asked; a deploy may succeed
    MISSING = "missing"  # a deploy would fail


@dataclass(frozen=True, kw_only=True)
class Finding:
    """``what`` was asked, what was ``found``, and ``then``: how to get what is missing.

    ``run`` are commands that do it, each on a line of its own to be copied.
    """

    what: str
    state: State
    found: str
    then: str = ""
    run: tuple[str, ...] = ()


def page(environment: str, findings: Sequence[Finding], *, quiet: bool = False) -> str:
    """As a person reads it: what is missing is marked, with the next step below it."""
    shown = [one for one in findings if not (quiet and one.state is State.OK)]
    width = max((len(one.what) for one in shown), default=0)
    lines = [f"{environment}: before a deploy", ""]
    for one, after in itertools.zip_longest(shown, shown[1:]):
        lines.append(f"  {one.state:<8} {one.what:<{width}}  {one.found}")
        # What is to be done about several lines is said once, below the last of them.
        then = "" if after is not None and not one.run and one.then == after.then else one.then
        lines += textwrap.wrap(
            then,
            width=108,
            initial_indent=" " * 11 + "-> ",
            subsequent_indent=" " * 14,
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines += [" " * 14 + command for command in one.run]
    return "\n".join([*lines, "", f"  {_sum(findings)}"])


def _sum(findings: Sequence[Finding]) -> str:
    missing = sum(one.state is State.MISSING for one in findings)
    open_ = sum(one.state in (State.LOOK, State.UNKNOWN) for one in findings)
    rest = f"; {open_} to look at" if open_ else ""
    if missing:
        return f"{missing} missing: a deploy would fail{rest}"
    return f"ready to deploy{rest}"
