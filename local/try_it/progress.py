"""How far the work is, from what was sent and what the tasks recorded. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from local.try_it.work import Piece


@dataclass(frozen=True, kw_only=True)
class Count:
    """One kind of work. ``seconds`` is from the start to the last piece that is done, if any is."""

    kind: str
    sent: int
    done: int
    failed: int
    tasks_run: int
    seconds: float | None

    @property
    def waiting(self) -> int:
        """Pieces that are neither done nor failed."""
        return self.sent - self.done - self.failed


class Progress:
    """What was sent so far, and what became of it."""

    def __init__(self, started_at: float) -> None:
        self._started_at = started_at
        self._pieces: dict[str, Piece] = {}
        self._succeeded: dict[str, dict[str, float]] = defaultdict(dict)  # root → task id → when
        self._failed: dict[str, str] = {}  # root → what failed
        self._latest: dict[str, str] = {}  # root → what happened last

    def sent(self, piece: Piece) -> None:
        """A broker accepted it."""
        self._pieces[piece.root] = piece

    def recorded(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Lines of the journal, those of other work included."""
        for line in lines:
            root, event = line.get("root_id"), line["event"]
            if root is None:
                continue
            self._latest[root] = f"{line['task']} {event}"
            if event == "succeeded":
                self._succeeded[root][line["id"]] = line["at"]
            if event == "failed":
                self._failed[root] = line["task"]

    def counts(self) -> list[Count]:
        """One for each kind, in the order in which the kinds were first sent."""
        kinds = list(dict.fromkeys(piece.kind for piece in self._pieces.values()))
        return [
            self._count(kind, [piece for piece in self._pieces.values() if piece.kind == kind])
            for kind in kinds
        ]

    @property
    def finished(self) -> bool:
        """Whether nothing that was sent is still waiting."""
        return all(count.waiting == 0 for count in self.counts())

    def unfinished(self) -> list[str]:
        """One line for each piece that is not done: what it is and how far it came."""
        return [
            f"{piece.kind} {root}: {self._fate(root)}"
            for root, piece in self._pieces.items()
            if not self._is_done(piece)
        ]

    def _fate(self, root: str) -> str:
        if root in self._failed:
            return f"{self._failed[root]} failed"
        return f"last seen: {self._latest[root]}" if root in self._latest else "no worker took it"

    def _is_done(self, piece: Piece) -> bool:
        return piece.root not in self._failed and len(self._succeeded[piece.root]) >= piece.tasks

    def _count(self, kind: str, pieces: list[Piece]) -> Count:
        done = [piece for piece in pieces if self._is_done(piece)]
        ends = [max(self._succeeded[piece.root].values()) for piece in done]
        return Count(
            kind=kind,
            sent=len(pieces),
            done=len(done),
            failed=sum(piece.root in self._failed for piece in pieces),
            tasks_run=sum(len(self._succeeded[piece.root]) for piece in pieces),
            seconds=max(ends) - self._started_at if ends else None,
        )
