"""How beat ends on TERM: by unwinding, whatever it was doing."""

from __future__ import annotations

from typing import Any, NoReturn

from celery import platforms
from celery.apps.beat import Beat


class UnwindingBeat(Beat):  # type: ignore[misc]
    """What ``app.Beat`` is in beat's process."""

    def install_sync_handler(self, service: Any) -> None:
        """Celery's would close the scheduler in the signal handler, and make it first if it was being made.

        That waits for ever for a lock that the code below it holds. The service closes its scheduler anyway
        when SystemExit ends its loop.
        """
        platforms.signals.update(SIGTERM=_leave, SIGINT=_leave)


def _leave(_number: int, _frame: object) -> NoReturn:
    raise SystemExit
