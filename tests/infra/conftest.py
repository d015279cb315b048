"""One synthesis of all environments for all tests of this folder."""

from __future__ import annotations

import os

# Before anything starts jsii, which would print a page about the version of Node.
os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")
os.environ.setdefault("NODE_NO_WARNINGS", "1")

import pytest

from tests.infra.synthesis import Synthesis, synthesize


@pytest.fixture(scope="session")
def blueprint(tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    """All four environments as `make synth` writes them, every check included."""
    return synthesize(tmp_path_factory.mktemp("cdk.out"))
