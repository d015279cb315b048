"""What a deployed environment looks like to a producer and to workers, for one test."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from celery import Celery, signals

from taskfleet import aws
from taskfleet.beat.firings import entries, firings
from taskfleet.contract import container, names
from taskfleet.contract import environment as env
from taskfleet.contract.manifest import PoolManifest, ReleaseManifest
from taskfleet.dead_letters.store import DeadLetters
from taskfleet.publishing.publisher import force_broker
from taskfleet.settings import ProducerSettings
from taskfleet.testing import base, leash
from taskfleet.testing.servers import Account, TlsValkey, wait_for

RELEASE = "r1"


@dataclass(frozen=True)
class Published:
    """A task that this process published. ``eta`` is as Celery wrote it."""

    task: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    id: str
    eta: str | None = None


@dataclass
class Environment:
    """An application on both brokers, with one release. ``published`` is what this process sent, in order.

    ``queues`` are the logical queues; a worker consumes all of them.
    """

    app: Celery
    app_name: str
    queues: tuple[str, ...]
    folder: Path
    valkey: TlsValkey
    account: Account
    name: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:8]}")
    published: list[Published] = field(default_factory=list)
    _workers: list[tuple[subprocess.Popen[bytes], str]] = field(default_factory=list)

    def open(self) -> None:
        """Make what the stacks make, and bind the application to it."""
        self.valkey.client().flushall()
        base.create_base(self.account, self.name, password=self.valkey.password, queues=self.queues)
        pool = PoolManifest(
            "tests", self.queues, (), slots=2, min_workers=1, max_workers=3, latency_target_seconds=60
        )
        manifest = ReleaseManifest(
            RELEASE, "image", (pool,), drain_deadline_seconds=600, default_queue=self.queues[-1]
        )
        base.create_release(self.account, self.name, manifest)
        base.promote(self.account, self.name, RELEASE)
        aws._clients.after_fork()  # another test's account may be gone
        self.app.taskfleet.bind(self._settings())
        signals.before_task_publish.connect(self._note, weak=False)

    def _settings(self) -> ProducerSettings:
        return ProducerSettings(
            environment=self.name, broker_host="localhost", broker_port=self.valkey.front.port
        )

    def close(self) -> None:
        """End the workers."""
        signals.before_task_publish.disconnect(self._note)
        for process, _ in self._workers:
            _kill(process)

    def start_worker(self, *, broker: str = env.PRIMARY, concurrency: int = 2, **variables: str) -> None:
        """A worker process on Redis, or with ``broker="fallback"`` on SQS; returns when it is ready."""
        worker = base.worker(
            self._settings(),
            app=self.app_name,
            release=RELEASE,
            pool="tests",
            queues=self.queues,
            broker=broker,
            concurrency=concurrency,
        )
        place = Path(tempfile.mkdtemp(prefix="worker-", dir=self.folder))
        log = place / "log"
        environment = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
            **self.account.environment,
            "SSL_CERT_FILE": str(self.valkey.front.ca),
            "TMPDIR": str(place),
            container.JOURNAL: str(place),
            **worker.to_environ(),
            **variables,
        }
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "taskfleet", "worker"],
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that it can be ended with its children
                preexec_fn=leash.die_with_parent(os.getpid()),
            )
        self._workers.append((process, broker))
        wait_for(lambda: "ready." in log.read_text() or process.poll() is not None, f"a worker ({log})")
        if process.poll() is not None:
            raise RuntimeError(f"the worker did not start:\n{log.read_text()[-3000:]}")

    @contextlib.contextmanager
    def redis_down(self) -> Iterator[None]:
        """Redis is killed for the time of the block; its data is kept."""
        self.valkey.kill()
        try:
            yield
        finally:
            self.valkey.start()

    @contextlib.contextmanager
    def redis_hangs(self) -> Iterator[None]:
        """Redis takes connections and answers nothing for the time of the block."""
        self.valkey.pause()
        try:
            yield
        finally:
            self.valkey.resume()

    @contextlib.contextmanager
    def aws_hangs(self) -> Iterator[None]:
        """SQS, DynamoDB and all else of AWS answer nothing for the time of the block."""
        self.account.pause()
        try:
            yield
        finally:
            self.account.resume()

    def worker_killed(self, broker: str | None = None) -> None:
        """All workers (of one broker) die, in the middle of what they do; as many are started anew."""
        killed = [worker for worker in self._workers if broker in (None, worker[1])]
        for process, _ in killed:
            _kill(process)
        self._workers = [worker for worker in self._workers if worker not in killed]
        for _, its_broker in killed:
            self.start_worker(broker=its_broker)

    def force_broker(self, broker: str) -> contextlib.AbstractContextManager[None]:
        """What this process publishes in the block goes to that broker: ``"primary"`` or ``"fallback"``."""
        return force_broker(broker)

    def waiting(self) -> int:
        """Messages on both brokers, those that are being run or wait for their time included."""
        client: Any = self.valkey.client()
        count = int(client.hlen("unacked"))
        for queue in self.queues:
            keys = client.scan_iter(f"{names.versioned_queue(queue, RELEASE)}*", _type="list")
            count += sum(client.llen(key) for key in keys)
            count += base.sqs_depth(self.account, names.fallback_queue(self.name, queue, RELEASE))
        return count

    def wait_until_idle(self, seconds: float = 60) -> None:
        """Return when no message is left on either broker. Raises ``TimeoutError``."""
        wait_for(lambda: self.waiting() == 0, "that no message is left", seconds)

    def dead_letters(self) -> dict[str, str]:
        """The task's id and the reason of each message that was put aside."""
        store = DeadLetters(self.account.client("dynamodb"), self.name)
        return {str(letter.task_id): letter.reason for letter in store.headings(self.queues)}

    def due(self, since: datetime, until: datetime) -> list[tuple[datetime, str]]:
        """The firings of the application's schedule in that time (aware), and which entry's each is."""
        found = [
            (moment, entry.name) for entry in entries(self.app) for moment in firings(entry, since, until)
        ]
        return sorted(found)

    def fire(self, name: str) -> str:
        """Publish an entry of the schedule now, as beat would at its time; the task's id."""
        schedule = self.app.conf.beat_schedule
        if name not in schedule:
            raise KeyError(f"there is no entry {name!r}; there are: {', '.join(schedule) or 'none'}")
        entry = schedule[name]
        sent = self.app.send_task(
            entry["task"], entry.get("args"), entry.get("kwargs"), **entry.get("options", {})
        )
        return str(sent.id)

    def _note(self, sender: str, body: Any, headers: dict[str, Any], **_: Any) -> None:
        args, kwargs, _embedded = body
        sent = Published(sender, tuple(args), dict(kwargs), headers["id"], headers.get("eta"))
        self.published.append(sent)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
