"""How a command that has started servers ends: by itself, or told to, and never without them."""

from __future__ import annotations

import signal
import sys
from types import FrameType

_TOLD = (signal.SIGTERM, signal.SIGHUP)  # the second is a terminal that was closed


def exit_when_told() -> None:
    """From now on SIGTERM and SIGHUP raise ``SystemExit``, once: whoever waits for a server ends it then.

    What ignores SIGHUP already (``nohup``) goes on ignoring it.
    """
    for number in _TOLD:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _exit)


def _exit(number: int, _frame: FrameType | None) -> None:
    for each in _TOLD:
        signal.signal(each, signal.SIG_IGN)  # a second one must not leave half of it
    sys.exit(128 + number)
