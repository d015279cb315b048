"""One synthesis of all environments for all tests of this folder."""

from __future__ import annotations

import os

# Before anything starts jsii, which would print a page about the version of Node.
os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")
os.environ.setdefault("NODE_NO_WARNINGS", "1")

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from tests.infra.synthesis import Synthesis, synthesize
from tests.infra.variants import MIXED, VARIANTS
from tests.support import reference


@pytest.fixture(scope="session")
def blueprint(tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    """All four environments as `make synth` writes them, every check included."""
    return synthesize(tmp_path_factory.mktemp("cdk.out"))


@pytest.fixture(scope="session")
def variants(tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    """Production with one setting changed each, named by the change; every check included."""
    return synthesize(tmp_path_factory.mktemp("variants"), VARIANTS)


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    """An environment `dev` of every kind of pool, with an image that exists, variables and secrets."""
    return synthesize(tmp_path_factory.mktemp("mixed"), settings=[MIXED], context={"env": "dev"})


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.Session]:
    """An AWS account in this process, for what preflight asks of it."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield boto3.Session(region_name=reference.REGION)
