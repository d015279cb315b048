"""One finding: where it is, what is wrong, and what to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """``rule`` is its name, which ``# fleet: ignore[rule]`` on its line switches off there."""

    file: str
    line: int
    rule: str
    says: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: [{self.rule}] {self.says}. Fix: {self.fix}."
