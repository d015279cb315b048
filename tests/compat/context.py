"""What a feature works with: the application, marks of its tasks, workers and commands of its own."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from celery import Celery

from tests.compat import app as the_app
from tests.compat.sides import APP, OWN, RELEASE, Side
from tests.support.processes import wait_for

WAIT = 60.0


class Process:
    """A worker, beat or command that a feature started; in a process group and a folder of its own."""

    def __init__(
        self,
        command: list[str],
        environment: Mapping[str, str],
        folder: Path,
        *,
        queue: str = "",
        node: str = "",
    ) -> None:
        folder.mkdir(parents=True)
        self.folder, self.log, self.queue, self.node = folder, folder / "log", queue, node
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                env={**environment, "TMPDIR": str(folder)},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of its main process."""
        return self.process.pid

    def text(self) -> str:
        """Its log so far."""
        return self.log.read_text(errors="replace")

    def wait_says(self, text: str, *, times: int = 1) -> Process:
        """Return once its log has the text. AssertionError with the log's end if it ends before."""
        wait_for(
            lambda: self.text().count(text) >= times or self.process.poll() is not None,
            seconds=WAIT,
            what=f"{text!r} in {self.log}",
        )
        assert self.text().count(text) >= times, self.text()[-1500:]
        return self

    def send(self, number: int) -> None:
        """A signal, to the main process alone."""
        self.process.send_signal(number)

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(WAIT)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to the group after a while."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.terminate()
            self.process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Shared:
    """What features of one client have in common, each made once: workers with a purpose, received events."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.queues = iter(OWN)
        self.numbers = itertools.count()
        self._made: dict[str, Any] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self.starting = threading.Semaphore(2)  # a start is what costs most
        self.processes: list[Process] = []

    def take(self) -> str:
        """A queue that nobody else has."""
        with self._lock:
            return next(self.queues)

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What ``make`` returned when it was first asked for ``name``; an error of it again."""
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            if name not in self._made:
                try:
                    self._made[name] = (make(), None)
                except BaseException as error:
                    self._made[name] = (None, error)
                    raise
        made, error = self._made[name]
        if error is not None:
            raise error
        return made

    def close(self) -> None:
        """End every process that is left."""
        for process in self.processes:
            if process.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.process.wait()


class Context:
    """One run of one feature on one side of one cell."""

    def __init__(self, side: Side, key: str, shared: Shared) -> None:
        self.side, self.key, self.shared = side, key, shared
        self.app: Celery = the_app.app
        self.broker, self.pool = side.cell.broker, side.cell.pool
        self._started: list[Process] = []

    # Marks.

    def sub(self, name: str) -> str:
        """A key of this run's own, for another kind of marks."""
        return f"{self.key}.{name}"

    def marks(self, key: str | None = None) -> list[str]:
        """The lines that tasks left so far."""
        path = the_app.marks_of(key or self.key)
        return path.read_text().splitlines() if path.exists() else []

    def wait_marks(self, number: int = 1, key: str | None = None, seconds: float = WAIT) -> list[str]:
        """The lines, once there are so many."""
        try:
            wait_for(lambda: len(self.marks(key)) >= number, seconds=seconds, what=f"{number} marks")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.marks(key)}") from None
        return self.marks(key)

    def wait(self, happened: Callable[[], object], what: str = "it") -> None:
        """Return when it happened."""
        wait_for(happened, seconds=WAIT, what=what)

    def happens(self, happened: Callable[[], object], seconds: float = 15.0) -> bool:
        """Whether it does, within that time: for what is known not to on one side."""
        try:
            wait_for(happened, seconds=seconds)
        except AssertionError:
            return False
        return True

    def settled(self, value: Callable[[], Any], seconds: float = 2.0) -> Any:
        """The value after it can have changed no more: for what must *not* happen."""
        time.sleep(seconds)
        return value()

    # Names.

    def logical(self, queue: str) -> str:
        """The queue in the team's words: on the fleet each has its release's name behind it."""
        if self.side.is_fleet:
            queue = queue.removesuffix(f".{RELEASE}")
            return "celery" if queue == "low" else queue
        return queue

    @property
    def main_node(self) -> str:
        """The long-lived worker's node name, with its host."""
        return f"{self.side.node()}@{os.uname().nodename}"

    # Applications, workers, commands.

    def make_app(self, **configuration: Any) -> Celery:
        """Another application of the same team, in this process."""
        return the_app.configure(Celery("other", set_as_current=False), configuration)

    def worker(
        self,
        *arguments: str,
        slots: int | None = 2,
        conf: Mapping[str, Any] | None = None,
        ready: bool = True,
        name: str | None = None,
        queues: tuple[str, ...] | None = None,
        **variables: str,
    ) -> Process:
        """A worker of this run's own, consuming a queue of its own (``.queue``); ended with the run."""
        made = self._worker(arguments, slots, conf, ready, name, queues, variables)
        self._started.append(made)
        return made

    def shared_worker(self, purpose: str, *arguments: str, slots: int = 4, **options: Any) -> Process:
        """One for several features, which say the same here."""
        conf, ready = options.pop("conf", None), options.pop("ready", True)
        return self.shared.once(
            f"worker {purpose}", lambda: self._worker(arguments, slots, conf, ready, None, None, options)
        )

    def _worker(
        self,
        arguments: tuple[str, ...],
        slots: int | None,
        conf: Mapping[str, Any] | None,
        ready: bool,
        name: str | None,
        queues: tuple[str, ...] | None,
        variables: dict[str, str],
    ) -> Process:
        queue = self.shared.take()
        name = name or queue
        if queues is None:
            queues = (queue,)
        environment = self.side.worker(queues=queues or (queue,), slots=slots or 2, pool=queue)
        environment |= self.side.with_configuration(conf or {}, **variables)
        command = self.side.worker_command(queues=queues, slots=slots, name=name, arguments=arguments)
        node = f"{self.side.node(queue if self.side.is_fleet else name)}@{os.uname().nodename}"
        with self.shared.starting:
            made = self._process(command, environment, queue=queue, node=node)
            if ready:
                made.wait_says(" ready.")
        return made

    def beat(
        self,
        *arguments: str,
        application: str = APP,
        conf: Mapping[str, Any] | None = None,
        **variables: str,
    ) -> Process:
        """A beat of this run's own; ended with the run."""
        environment = {**self.side.environment, **self.side.with_configuration(conf or {}, **variables)}
        made = self._process(self.side.beat_command(arguments, application), environment)
        self._started.append(made)
        return made

    def _process(self, command: list[str], environment: Mapping[str, str], **known: str) -> Process:
        folder = self.shared.folder / f"{next(self.shared.numbers)}-{self.key}"
        made = Process(command, environment, folder, **known)
        self.shared.processes.append(made)
        return made

    def celery(self, *arguments: str, code: bool = False, **variables: str) -> Any:
        """What ``celery -A app …`` prints; with ``code`` its exit code and both its outputs."""
        return self._run([sys.executable, "-m", "celery", "-A", APP, *arguments], code, variables)

    def python(
        self, script: str, *, conf: Mapping[str, Any] | None = None, code: bool = False, **variables: str
    ) -> Any:
        """What a script prints in a fresh process with the producers' environment."""
        given = {**self.side.with_configuration(conf or {}), **variables}
        return self._run([sys.executable, "-c", script], code, given)

    def _run(self, command: list[str], code: bool, variables: Mapping[str, str]) -> Any:
        with self.shared.starting:
            done = subprocess.run(
                command,
                env={**self.side.environment, **variables},
                capture_output=True,
                stdin=subprocess.DEVNULL,
                text=True,
                timeout=WAIT,
                check=False,
            )
        if code:
            return done.returncode, done.stdout + done.stderr
        assert done.returncode == 0, (done.stdout + done.stderr)[-1500:]
        return done.stdout

    def keep(self, process: Process) -> None:
        """It goes on after this run: others use it."""
        self._started.remove(process)

    def close(self) -> None:
        """End what the run started."""
        for process in self._started:
            process.stop()


def outcome(call: Callable[[], Any]) -> Any:
    """What a call returns, or the name of the error that it raises."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is observed
        return f"raises {type(error).__name__}"


@contextlib.contextmanager
def variables(**values: str) -> Iterator[None]:
    """Environment variables of this process for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
