"""What a deployed environment looks like to producers and workers, made by hand in an emulated account.

Secret, pointer, manifests, SQS twins, dead-letter queues and state table; producers in this process,
workers as real processes with exactly the environment that a container gets.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from celery import Celery
from taskfleet import install
from taskfleet.contract import container, names
from taskfleet.contract import environment as env
from taskfleet.contract.manifest import PoolManifest, ReleaseManifest
from taskfleet.dead_letters.store import DeadLetters
from taskfleet.settings import ProducerSettings
from taskfleet.testing import base, leash

from drills.tasks import journal
from tests.support.ministack import MiniStack
from tests.support.processes import wait_for
from tests.support.tls import TlsFront
from tests.support.valkey import Valkey

QUEUES = ("high", "low", "etl", "picking", "packing", "delivery")


class TinyFleet:
    """One environment with its brokers. Close it."""

    def __init__(self, name: str, directory: Path, valkey: Valkey, aws: MiniStack) -> None:
        self.name, self.directory, self.valkey, self.aws = name, directory, valkey, aws
        self.front = TlsFront(directory / "tls", valkey.port)
        self.front.start()
        self.journal = directory / "journal"
        self.journal.mkdir()
        self._workers: list[subprocess.Popen[bytes]] = []
        self._apps: list[Celery] = []
        self._create_base()

    def _create_base(self) -> None:
        base.create_base(self.aws, self.name, password=self.valkey.password, queues=QUEUES)

    def move(self, aws: MiniStack) -> None:
        """Make everything again in another account, with the release `r1`."""
        self.aws = aws
        self._create_base()
        self.deploy("r1")
        self.promote("r1")

    def deploy(
        self,
        release: str,
        queues: tuple[str, ...] = QUEUES,
        *,
        confirmed: tuple[str, ...] = (),
        longest_countdown_seconds: int | None = None,
        min_workers: int = 1,
        drain_deadline_seconds: int = 600,
        etas_beyond_seconds: int | None = None,
    ) -> ReleaseManifest:
        """What a release's stack makes: SQS twins and the manifest. Of its services ECS knows nothing."""
        pool = PoolManifest(
            "low",
            queues,
            (),
            slots=2,
            min_workers=min_workers,
            max_workers=3,
            latency_target_seconds=60,
            longest_countdown_seconds=longest_countdown_seconds,
        )
        manifest = ReleaseManifest(
            release,
            "image",
            (pool,),
            drain_deadline_seconds=drain_deadline_seconds,
            confirmed=confirmed,
            default_queue="low",
            etas_beyond_seconds=etas_beyond_seconds,
        )
        base.create_release(self.aws, self.name, manifest)
        return manifest

    def promote(self, release: str) -> None:
        """What the controller does: move the pointer."""
        base.promote(self.aws, self.name, release)

    def settings(self, **more: Any) -> ProducerSettings:
        """A producer's settings."""
        return ProducerSettings(
            environment=self.name, broker_host="localhost", broker_port=self.front.port, **more
        )

    def app(self, **more: Any) -> Celery:
        """An application that publishes to this fleet from this process."""
        app = install(Celery(f"producer-{self.name}", set_as_current=False))
        app.taskfleet.bind(self.settings(**more))
        # As a process under load is: what connecting takes on a busy machine sends a first publish to SQS.
        app.taskfleet.publisher._primary.answers()
        self._apps.append(app)
        return app

    def have(self, app: Celery) -> Celery:
        """Bind an application of this process to this fleet, with its tasks, as a web process has it."""
        app.taskfleet.bind(self.settings())
        app.loader.import_default_modules()
        self._apps.append(app)
        return app

    def environment(self, **more: str) -> dict[str, str]:
        """What every container gets."""
        return {
            "PATH": os.environ["PATH"],
            "PYTHONUNBUFFERED": "1",
            **self.aws.environment,
            "SSL_CERT_FILE": str(self.front.ca),
            "TMPDIR": str(self.directory),
            container.JOURNAL: str(self.journal),
            env.ENVIRONMENT.name: self.name,
            env.BROKER_HOST.name: "localhost",
            env.BROKER_PORT.name: str(self.front.port),
            env.APP.name: "drills.tasks.app:app",
            **more,
        }

    def worker_environment(self, release: str, queues: str = "low", **more: str) -> dict[str, str]:
        """What a worker's container gets."""
        worker = base.worker(
            self.settings(), app="drills.tasks.app:app", release=release, queues=tuple(queues.split(","))
        )
        return self.environment() | worker.to_environ() | more

    def start_worker(self, release: str, queues: str = "low", **more: str) -> subprocess.Popen[bytes]:
        """A worker process; returns when it is ready."""
        return self.start("worker", self.worker_environment(release, queues, **more), "ready.")

    def start(self, role: str, environment: dict[str, str], says: str) -> subprocess.Popen[bytes]:
        """Start ``python -m taskfleet <role>`` in a TMPDIR of its own; returns once its log ``says`` that."""
        place = self.directory / f"{role}-{len(self._workers)}"
        place.mkdir()
        log = place / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "taskfleet", role],
                env=environment | {"TMPDIR": str(place)},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that a test can end it with its children
                preexec_fn=leash.die_with_parent(os.getpid()),
            )
        self._workers.append(process)
        process.place = place  # type: ignore[attr-defined]
        wait_for(
            lambda: says in log.read_text() or process.poll() is not None, seconds=30, what=f"{role} in {log}"
        )
        assert process.poll() is None, log.read_text()[-3000:]
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL it and its children, as a machine that is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def health(self, process: subprocess.Popen[bytes], stuck_after: float = 60) -> int:
        """The exit code of the container's health check."""
        place = process.place  # type: ignore[attr-defined]
        command = [sys.executable, "-m", "taskfleet", "health", "--stuck-after", str(stuck_after)]
        return subprocess.run(command, env=self.environment(TMPDIR=str(place)), check=False).returncode

    def events(self, event: str) -> Iterator[dict[str, Any]]:
        """What the workers wrote into the journal."""
        return (line for line in journal.read(self.journal) if line["event"] == event)

    def executed(self, run: str) -> list[int]:
        """The numbers of a run that were executed, sorted, each as often as it was."""
        return sorted(line["n"] for line in self.events("record") if line["run"] == run)

    def wait_executed(self, run: str, numbers: int, *, seconds: float = 20) -> None:
        """Return when ``numbers`` different tasks of the run were executed."""
        wait_for(
            lambda: len(set(self.executed(run))) >= numbers, seconds=seconds, what=f"{numbers} tasks of {run}"
        )

    def waiting(self, queue: str, release: str) -> int:
        """Messages in the versioned queue on Redis."""
        return int(self.valkey.client().llen(names.versioned_queue(queue, release)))

    def waiting_on_sqs(self, queue: str, release: str) -> int:
        """Messages in its twin, those in flight included."""
        return self.sqs_depth(names.fallback_queue(self.name, queue, release))

    @property
    def store(self) -> DeadLetters:
        """The dead-letter store."""
        return DeadLetters(self.aws.client("dynamodb"), self.name)

    def dead_letters(self, queue: str) -> int:
        """Letters of a queue in the dead-letter store."""
        return self.store.counts([queue])[queue]

    def sqs_depth(self, name: str) -> int:
        """Messages in an SQS queue, in flight and delayed ones included."""
        return base.sqs_depth(self.aws, name)

    def close(self) -> None:
        """Stop the workers and the front, and what the producers do beside their publishes."""
        for process in self._workers:
            self.kill(process)
        for app in self._apps:
            app.taskfleet.publisher.end_lease()
        self.front.stop()
