"""A chain with too many members is refused where it begins, and goes on where it has begun."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from celery import chain
from taskfleet.contract.limits import CHAIN_MAX_MEMBERS
from taskfleet.errors import ChainTooLong
from taskfleet.publishing import chains

from tests.support.tiny_fleet import TinyFleet


def test_it_is_refused_at_the_caller_with_what_to_use_instead(fleet: TinyFleet) -> None:
    app = fleet.app()

    @app.task(name="anything", queue="low", shared=False)
    def task() -> None: ...

    chain(task.si() for _ in range(CHAIN_MAX_MEMBERS))()
    assert fleet.waiting("low", "r1") == 1
    with pytest.raises(
        ChainTooLong, match=r"a chain of 101 tasks that begins with anything: 100 .* Pipeline"
    ):
        chain(task.si() for _ in range(CHAIN_MAX_MEMBERS + 1))()
    assert fleet.waiting("low", "r1") == 1


@pytest.mark.parametrize(
    ("conf", "most"), [({}, 100), ({"taskfleet_chain_max_members": 5}, 5), ({chains.SETTING: None}, None)]
)
def test_the_application_may_say_another_number(conf: dict[str, object], most: int | None) -> None:
    assert chains.most_members(conf) == most


def test_what_has_begun_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    body = [[], {}, {"chain": [{}] * 3}]
    with pytest.raises(ChainTooLong):
        chains.check(body, {}, 3)
    chains.check(body, {}, 4)
    chains.check(body, {}, None)
    chains.check("text", {}, 1)

    monkeypatch.setattr(chains, "current_task", SimpleNamespace(request=SimpleNamespace(chain=[{}] * 4)))
    chains.check(body, {}, 3)
