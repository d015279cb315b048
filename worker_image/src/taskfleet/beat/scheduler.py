"""Celery's schedulers, bounded: they never wait for a broker, and owe what no broker accepted."""

from __future__ import annotations

import time
import uuid
from collections.abc import Container
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from celery.beat import PersistentScheduler, ScheduleEntry, Scheduler, SchedulingError
from celery.utils.imports import load_extension_class_names
from kombu.utils.imports import symbol_by_name

from taskfleet import aws, health
from taskfleet.beat.etas import DueEtas
from taskfleet.beat.remembering import RememberingScheduler
from taskfleet.beat.turn import LOOK_SECONDS, Ours, Turns
from taskfleet.contract import names, state
from taskfleet.contract.parameters import NO_RELEASE
from taskfleet.errors import SettingsError
from taskfleet.logs import logger

SAY_ALIVE_EVERY_SECONDS = 15.0
OWED_AGAIN_SECONDS = 5.0
# So rarely does the log say again that a firing is still owed.
STILL_OWED_SECONDS = 300.0
_ALIASES = "celery.beat_schedulers"  # entry points by which Celery names schedulers: `django`


class BoundedScheduler(Scheduler):  # type: ignore[misc]
    """What is put before a scheduler's class (`taskfleet.beat.scheduler.over`)."""

    # Celery's would connect here, and wait until it can; the fleet's producer needs none.
    producer = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._said: tuple[str, float] = ("", float("-inf"))
        self._owed: dict[str, ScheduleEntry] = {}
        self._said_owed: dict[str, float] = {}
        super().__init__(*args, **kwargs)
        self._turn = self._ours()
        self._etas = DueEtas(self.app)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Say that it lives, pay what is owed, fire what is due. Returns seconds until the next tick.

        While another release is current, its beat does; this one says that it could.
        """
        health.stamp("running")
        if not self._turn.is_it():
            if self._release != NO_RELEASE:
                self._say_alive(state.gate_beat(self._release))
            return LOOK_SECONDS
        self._say_alive(state.BEAT)
        self._etas.go_on()
        for name in list(self._owed):
            self._fire(self._owed.pop(name))
        wait: float = super().tick(*args, **kwargs)
        wait = min(wait, OWED_AGAIN_SECONDS) if self._owed else wait
        return min(wait, LOOK_SECONDS)

    def close(self) -> None:
        """As Celery's; another beat may fire from now on."""
        self._etas.stop()
        self._turn.give_back()
        super().close()

    def take(self, handed_over: bool) -> bool:
        """Go on from where another beat was. Its entries' last runs are in a store of the scheduler's own."""
        self._heap = None
        if hasattr(self, "_initial_read"):  # django_celery_beat: read them again
            self._initial_read = True
        return True

    def give(self) -> bool:
        """Note what was sent."""
        self.sync()
        return True

    @property
    def _release(self) -> str:
        return getattr(self.app.taskfleet.settings, "release", None) or NO_RELEASE

    def _ours(self) -> Ours:
        table = names.state_table(self.app.taskfleet.settings.environment)
        turns = Turns(lambda: aws.client("dynamodb", aws.PROMPT), table)
        return Ours(self._release, turns, give=self._give, take=self.take)

    def _give(self) -> bool:
        self._etas.pause()
        given = self.give()
        if given:
            self._owed.clear()  # not noted as sent: the next beat sends them
            self.app.taskfleet.publisher.end_lease()
        return given

    def apply_entry(self, entry: ScheduleEntry, producer: object = None) -> None:
        """As Celery's, which calls `apply_async`: instrumentation (Sentry's, for one) wraps it.

        A firing has one task id, however often it is tried: a broker may have taken a try that failed.
        """
        firing = object.__new__(type(entry))  # `copy` would call ``__init__``, which entries of others refuse
        vars(firing).update(vars(entry))
        firing.options = {"task_id": self.task_id(entry), **entry.options}
        self._said_owed.pop(entry.name, None)
        super().apply_entry(firing, producer=producer)

    def apply_async(
        self, entry: ScheduleEntry, producer: object = None, advance: bool = True, **kwargs: Any
    ) -> Any:
        """As Celery's; what no broker accepts is tried again soon. A later firing replaces one owed."""
        if advance:  # not from `apply_entry`
            return super().apply_async(entry, producer=producer, advance=advance, **kwargs)
        self._owed.pop(entry.name, None)
        return self._fire(entry)

    def task_id(self, entry: ScheduleEntry) -> str:
        """The id of one firing."""
        return str(uuid.uuid4())

    def _fire(self, firing: ScheduleEntry) -> Any:
        try:
            result = super().apply_async(firing, advance=False)
        except SchedulingError as error:
            self._owe(firing, error)
            return None
        self._said_owed.pop(firing.name, None)
        logger.info("entry %s: sent %s as %s", firing.name, firing.task, result.id)
        return result

    def _owe(self, firing: ScheduleEntry, error: SchedulingError) -> None:
        self._owed[firing.name] = firing
        now = time.monotonic()
        if now - self._said_owed.get(firing.name, float("-inf")) >= STILL_OWED_SECONDS:
            self._said_owed[firing.name] = now
            logger.error(
                "entry %s is due and was not accepted, trying again every %g s: %s",
                firing.name,
                OWED_AGAIN_SECONDS,
                error,
            )

    def _say_alive(self, key: str) -> None:
        now = time.monotonic()
        said, at = self._said
        if key == said and now - at < SAY_ALIVE_EVERY_SECONDS:
            return
        self._said = key, now
        try:
            aws.client("dynamodb", aws.PROMPT).put_item(
                TableName=names.state_table(self.app.taskfleet.settings.environment),
                Item={state.KEY: {"S": key}, "at": {"N": repr(time.time())}},
            )
        except (BotoCoreError, ClientError) as error:
            logger.error("can't say that beat lives: %s", error)


class FleetScheduler(BoundedScheduler, RememberingScheduler):
    """Named by ``beat_scheduler`` (`taskfleet.config.beat_defaults`)."""

    def task_id(self, entry: ScheduleEntry) -> str:
        """The same for the same firing, whichever beat sends it."""
        return RememberingScheduler.task_id(self, entry)

    def take(self, handed_over: bool) -> bool:
        """From the state table."""
        return RememberingScheduler.take(self, handed_over)

    def give(self) -> bool:
        """To the state table."""
        return RememberingScheduler.give(self)

    def unsent(self) -> Container[str]:
        """What is owed."""
        return self._owed


def over(name: str | type) -> type:
    """A scheduler of the application's own, bounded as the fleet's. Raises `SettingsError` if it is none.

    Celery's own two keep their last runs in memory or in a file, which go with the container: the fleet's
    takes their place, and comes before what is built on the one with the file.
    """
    try:
        own = symbol_by_name(name, aliases=dict(load_extension_class_names(_ALIASES)))
    except (ImportError, AttributeError) as error:
        raise SettingsError(
            f"beat_scheduler = {name!r}: it can't be imported ({error}). Fix: add its package to "
            "worker_image/pyproject.toml, or remove the line for the fleet's scheduler."
        ) from error
    if not (isinstance(own, type) and issubclass(own, Scheduler)):
        raise SettingsError(
            f"beat_scheduler = {name!r}: it is no subclass of celery.beat.Scheduler. Fix: name one, "
            "django_celery_beat.schedulers:DatabaseScheduler for instance, or remove the line."
        )
    return _bounded(own)


def _bounded(own: Any) -> type:
    if issubclass(own, BoundedScheduler):
        return own  # type: ignore[no-any-return]
    if own in (Scheduler, PersistentScheduler):
        return FleetScheduler
    space: dict[str, Any] = {"__module__": own.__module__}
    if not issubclass(own, PersistentScheduler):
        return type(own.__name__, (BoundedScheduler, own), space)
    if own.Entry is not ScheduleEntry:
        space["Entry"] = own.Entry
    return type(own.__name__, (FleetScheduler, own), space)
