"""``python -m local up|down|status|observe|logs``: the local fleet. The Makefile calls these."""

from __future__ import annotations

import sys

from local import down, logs, observe, status, up

_COMMANDS = {"up": up.main, "down": down.main, "status": status.main, "observe": observe.main}


def main() -> int:
    """Exit code 2 for a command that there is not."""
    if sys.argv[1:2] == ["logs"]:
        return logs.main(sys.argv[2:])
    if len(sys.argv) != 2 or sys.argv[1] not in _COMMANDS:
        print(f"python -m local {'|'.join([*_COMMANDS, 'logs'])}", file=sys.stderr)
        return 2
    return _COMMANDS[sys.argv[1]]()


if __name__ == "__main__":
    sys.exit(main())
