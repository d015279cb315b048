"""An ETL chain for an account: three tasks, each starting the next, on the `etl` queue."""

from __future__ import annotations

from celery import chain
from celery.canvas import Signature
from taskfleet.tools import limited

from example_tasks.app import app
from example_tasks.work import accounts

RETRY_ON = (ConnectionError, TimeoutError)


def pipeline(account_id: int) -> Signature:
    """The whole chain; call ``.delay()`` on it."""
    return chain(extract.s(account_id), transform.s(), load.s(account_id=account_id))


@app.task(name="example_tasks.accounts.extract", autoretry_for=RETRY_ON)
def extract(account_id: int, **_later: object) -> list[int]:
    """Read the account's amounts."""
    return accounts.extract(account_id)


@app.task(name="example_tasks.accounts.transform")
def transform(amounts: list[int], **_later: object) -> dict[str, int]:
    """Sum them up."""
    return accounts.transform(amounts)


@app.task(name="example_tasks.accounts.load", autoretry_for=RETRY_ON)
@limited(2, by=("account_id",), wait_seconds=2)
def load(summary: dict[str, int], account_id: int, **_later: object) -> str:
    """Store the summary; the accounts' system takes two calls for an account at a time."""
    return accounts.load(account_id, summary)
