"""What a task leaves behind when it ends at an awkward moment: nothing."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from local.agent import process, sweep
from local.agent.checks import Checks
from local.agent.definitions import HealthCheck


def test_checks_end_with_their_container_even_as_one_of_them_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two in the same turn of the loop, which no process can be made to hit."""
    check = HealthCheck(
        command=("true",), interval_seconds=0.01, timeout_seconds=5, retries=1, start_period_seconds=0
    )

    async def cancel_as_it_ends() -> bool:
        ends: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        begun = asyncio.Event()

        class Ending:
            async def wait(self) -> int:
                begun.set()
                return await ends

            def kill(self) -> None:
                pass

        async def start(*_: object, log: Path, **__: object) -> Ending:
            log.touch()
            return Ending()

        monkeypatch.setattr(process, "start", start)
        checks = Checks("a task", private=tmp_path, changed=lambda: None)
        running = asyncio.create_task(checks.run(check, environment={}, directory=tmp_path))
        await begun.wait()
        ends.set_result(0)
        # `wait_for` gets to know of the result two turns of the loop later, `await` in the next one.
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        done, _ = await asyncio.wait({running}, timeout=1)
        return running in done

    for turns in range(5):
        assert asyncio.run(cancel_as_it_ends()), f"{turns} turns after the end"


def test_a_directory_is_removed_although_a_dying_process_still_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "task"
    directory.mkdir()
    really, emptied = shutil.rmtree, []

    def rmtree(path: Path, **options: bool) -> None:
        if not emptied:
            (path / "health.pid").touch()
            emptied.append(path)  # and the removal of the directory itself failed
        else:
            really(path, **options)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    sweep.remove(directory)
    assert not directory.exists()
