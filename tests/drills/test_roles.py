"""Drills choose pools and queues by what they are for."""

from __future__ import annotations

from dataclasses import replace

from drills.roles import choose
from infra.settings import Execution, Pool
from tests.support.reference import LOCAL


def test_the_reference_settings_have_each_role() -> None:
    roles = choose(LOCAL)

    assert (roles.pools, roles.queues) == (("high", "low"), ("high", "low"))
    assert (roles.confirmed, roles.plain) == ("delivery", "etl")
    assert [pool.name for pool in roles.owners] == ["low", "warehouse"]
    assert roles.leaking.name == "low"


def test_prefork_pools_come_first_and_of_their_queues_a_confirmed_one() -> None:
    crawl = Pool(name="crawl", queues=("pages",), execution=Execution.GEVENT)
    office = Pool(name="office", queues=("letters", "invoices"), confirmed=("invoices",))
    roles = choose(replace(LOCAL, pools=(crawl, office), default_queue="letters"))

    assert (roles.pools, roles.queues) == (("office", "crawl"), ("invoices", "pages"))
    assert (roles.confirmed, roles.plain) == ("invoices", "letters")


def test_an_environment_without_a_plain_queue_says_so() -> None:
    office = Pool(name="office", queues=("letters",))

    assert choose(replace(LOCAL, pools=(office,), default_queue="letters")).plain is None
