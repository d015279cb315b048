"""The split of publishes while a release is in its canary: beside the pointer, in a parameter of its own.

The pointer keeps naming blue, so that a producer of a version before this one publishes to blue as ever.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass
from typing import Any

from taskfleet.contract.parameters import NO_RELEASE

_ALL = 2**32


@dataclass(frozen=True)
class Split:
    """A ``share`` of the publishes that follow the pointer goes to ``release`` while it names ``beside``."""

    release: str
    beside: str
    share: float

    def takes(self, root: str) -> bool:
        """Whether a workflow goes to ``release``: all its tasks have the id of its first, the ``root``."""
        # The release's name makes it other workflows at each canary, where ids come again.
        return zlib.crc32(f"{self.release} {root}".encode()) < self.share * _ALL

    def to_json(self) -> str:
        """The SSM parameter's value."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Split:
        """Read what this or a later version of `to_json` wrote. ``ValueError`` for anything else."""
        try:
            data: dict[str, Any] = json.loads(text)
            return cls(str(data["release"]), str(data["beside"]), float(data["share"]))
        except (TypeError, KeyError) as error:
            raise ValueError(f"not a split of publishes ({error}): {text[:200]!r}") from error


def split_of(value: str | None) -> Split | None:
    """What the parameter says, if there is a split. ``ValueError`` for what can't be read."""
    return None if value in (None, NO_RELEASE) else Split.from_json(str(value))
