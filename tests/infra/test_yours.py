"""The settings that a team has in `infra.environments`, whatever they are: all that a deploy would refuse.

All other tests run on settings of their own (`tests.support.reference`).
"""

from __future__ import annotations

import pytest

from infra import chosen, environments
from infra.cost import bill
from infra.settings import Settings
from tests.infra.synthesis import Synthesis, synthesize
from tests.support import reference

EACH = pytest.mark.parametrize("settings", environments.ALL, ids=lambda settings: settings.name)


@pytest.fixture(scope="module")
def yours(tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    """Every environment as `make synth` writes it, every check included: a finding fails it."""
    return synthesize(tmp_path_factory.mktemp("yours"), environments.ALL)


@EACH
def test_an_environment_can_be_synthesized_and_has_its_price(yours: Synthesis, settings: Settings) -> None:
    stacks = f"taskfleet-{settings.name}-"
    templates = [template for name, template in yours.templates.items() if name.startswith(stacks)]

    assert len(templates) == 4
    assert settings.on_this_machine or sum(line.dollars for line in bill(settings, templates)) > 0


def test_one_environment_is_on_this_machine_for_make_up() -> None:
    assert [one.name for one in environments.ALL if one.on_this_machine] == ["local"]


def test_all_other_tests_run_on_settings_of_their_own() -> None:
    assert chosen.ALL is reference.ALL
