"""The environment of a producer on this machine: what `make up` wrote for one."""

from __future__ import annotations

import os
import shlex

from local.places import Places


class NotUp(Exception):
    """The local fleet is not up. The message says what is missing, and what to do."""


def read(places: Places) -> dict[str, str]:
    """This process's environment with the fleet's variables. Raises `NotUp` without a fleet."""
    try:
        text = places.env.read_text()
    except FileNotFoundError:
        raise NotUp(f"the local fleet is not up: there is no {places.env}. Run `make up` first.") from None
    return os.environ | parse(text)


def parse(text: str) -> dict[str, str]:
    """The variables of a file that a shell can source: ``export NAME=value`` lines."""
    variables = {}
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        for word in words[1:] if words[:1] == ["export"] else words:
            name, equals, value = word.partition("=")
            if equals:
                variables[name] = value
    return variables
