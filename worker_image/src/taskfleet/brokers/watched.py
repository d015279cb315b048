"""The worker's side of `taskfleet.brokers.watching`: starts that process, writes to it, ends it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from taskfleet.brokers import watching

# All that it needs of the environment; secrets go by the pipe, where nobody else can read them.
_ENVIRONMENT = ("SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_CA_BUNDLE")
END_SECONDS = 1.0
# As much as a Linux pipe may hold without a privilege: it is written to from the main loop.
_PIPE_BYTES = 1 << 20


class Watched:
    """One such process at most. ``program`` is the file with its `Renewing`."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def runs(self) -> bool:
        """Whether it runs now."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, if it does not run."""
        if self.runs:
            return
        self.end()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", watching.__file__, self._program, str(os.getpid())],
            stdin=subprocess.PIPE,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        )
        pipe = self._process.stdin.fileno()  # type: ignore[union-attr]
        # One that reads no more must not stop who writes.
        os.set_blocking(pipe, False)
        with contextlib.suppress(AttributeError, OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def tell(self, told: Mapping[str, Any]) -> None:
        """Write one object. Raises OSError if it does not take it: then end it, a part may have gone."""
        line = json.dumps(told).encode() + b"\n"
        if self._process is None:
            raise BrokenPipeError("it does not run")
        if os.write(self._process.stdin.fileno(), line) < len(line):  # type: ignore[union-attr]
            raise BlockingIOError("it does not read")

    def end(self) -> None:
        """End it, if it runs."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            process.stdin.close()  # type: ignore[union-attr]
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
