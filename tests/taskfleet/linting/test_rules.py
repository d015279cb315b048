"""Each rule: code that it finds, and the like of it that it must leave alone."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from taskfleet.linting.checking import Bounds, check, check_sources
from taskfleet.linting.reading import Source

HEAD = """
from datetime import datetime, timedelta
from decimal import Decimal
from celery import chain, group, shared_task, Task
from django.db import transaction
"""


def rules(text: str, bounds: Bounds | None = None) -> list[tuple[int, str]]:
    """Line, counted from the first of ``text``, and rule of each finding."""
    above = HEAD.count("\n")
    found = check_sources([Source("shop.py", HEAD + dedent(text).lstrip("\n"))], bounds or Bounds())
    return [(each.line - above, each.rule) for each in found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("@shared_task(max_retries=None)\ndef f(): ...", [(1, "retries-unbounded")]),
        ("@app.task(retry_kwargs={'max_retries': None})\ndef f(): ...", [(1, "retries-unbounded")]),
        ("@app.task(max_retries=3)\ndef f(): ...", []),
        (
            "@app.task(bind=True)\ndef f(self):\n    raise self.retry(countdown=60)",
            [(3, "retries-no-backoff")],
        ),
        ("@app.task(bind=True)\ndef f(self):\n    raise self.retry(countdown=2 ** self.request.retries)", []),
        ("@app.task(bind=True)\ndef f(self):\n    raise self.retry(max_retries=None)", []),
        ("def f(client):\n    client.retry(countdown=60)", []),
        ("@app.task(max_retries=3, default_retry_delay=60)\ndef f(): ...", [(1, "retries-no-backoff")]),
        ("@app.task(max_retries=1, default_retry_delay=60)\ndef f(): ...", []),
        ("@app.task(default_retry_delay=60, retry_backoff=True)\ndef f(): ...", []),
        ("class F(Task):\n    max_retries = None\n    def run(self): ...", [(2, "retries-unbounded")]),
    ],
)
def test_retries(text: str, found: list[tuple[int, str]]) -> None:
    assert rules(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("@app.task(expires=None)\ndef f(): ...", [(1, "no-expiry")]),
        ("@app.task(time_limit=0)\ndef f(): ...", [(1, "no-time-limit")]),
        ("@app.task(soft_time_limit=60, time_limit=30)\ndef f(): ...", [(1, "no-time-limit")]),
        ("@app.task(soft_time_limit=60, time_limit=90)\ndef f(): ...", []),
        ("f.apply_async(countdown=3 * 3600)", [(1, "countdown-too-long")]),
        ("f.apply_async(countdown=3599)", []),
        ("async def v():\n    await f.aapply_async(countdown=3 * 3600)", [(2, "countdown-too-long")]),
        ("f.apply_async(eta=now() + timedelta(days=2))", [(1, "countdown-too-long")]),
        ("f.apply_async(eta=now() + timedelta(days=n))", []),
    ],
)
def test_limits(text: str, found: list[tuple[int, str]]) -> None:
    assert rules(text, Bounds(longest_countdown=3600)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("@app.task\ndef f():\n    return g.delay(1).get()", [(3, "waits-in-task")]),
        (
            "@app.task\ndef f():\n    r = g.apply_async((1,))\n    return r.get(timeout=5)",
            [(4, "waits-in-task")],
        ),
        ("@app.task\ndef f():\n    return group(g.s(1))().join()", [(3, "waits-in-task")]),
        ("def view():\n    return g.delay(1).get()", []),
        ("@app.task\ndef f(settings):\n    g.delay(1)\n    return settings.get('a')", []),
    ],
)
def test_a_task_that_waits_for_a_task(text: str, found: list[tuple[int, str]]) -> None:
    assert rules(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("chain(a.s(), b.s(), c.s(), d.s())()", [(1, "too-many-members")]),
        ("chain(a.s(), b.s(), c.s())()", []),
        ("chain(*[a.s(n) for n in numbers])()", [(1, "too-many-members")]),
        ("group([a.s(1), a.s(2), a.s(3), a.s(4)])()", [(1, "too-many-members")]),
        ("group(a.s(n) for n in numbers)()", []),
        ("(a.s() | b.si() | c.s() | d.s()).delay()", [(1, "too-many-members")]),
        ("(a.s() | b.si() | c.s()).delay()", []),
        ("flags = A | B | C | D | E", []),
        ("import itertools\nitertools.chain(a, b, c, d)", []),
    ],
)
def test_chains_and_groups(text: str, found: list[tuple[int, str]]) -> None:
    # `itertools.chain` is called by the same last name as the one that is imported from Celery.
    assert rules(text, Bounds(most_members=3)) == found


@pytest.mark.parametrize(
    ("argument", "found"),
    [
        ("datetime.now()", True),
        ("timezone.now()", True),
        ("timezone.now().isoformat()", False),
        ("Decimal('1.5')", True),
        ("str(Decimal('1.5'))", False),
        ("Order.objects.get(pk=1)", True),
        ("Order.objects.get(pk=1).pk", False),
        ("Order.objects.filter(open=True)", True),
        ("request.user", True),
        ("request.user.pk", False),
        ("{1, 2}", True),
        ("b'abc'", True),
        ("lambda: 1", True),
        ("order_id", False),
    ],
)
def test_arguments(argument: str, found: bool) -> None:
    wanted = [(1, "argument-not-json")] if found else []

    assert rules(f"f.delay({argument})") == wanted
    assert rules(f"f.apply_async(args=[{argument}])") == wanted
    assert rules(f"f.apply_async(kwargs={{'a': {argument}}})") == wanted
    assert rules(f"f.s(a={argument})") == wanted


def test_arguments_by_way_of_a_variable_or_self() -> None:
    text = """
    def view(request, pk):
        order = Order.objects.get(pk=pk)
        mail.delay(order)
        order = order.pk
        mail.delay(order)

    class Order(models.Model):
        def send(self):
            mail.delay(self)

    class Sender:
        def send(self):
            mail.delay(self)
    """
    assert rules(text) == [(3, "argument-not-json"), (9, "argument-not-json")]


def test_a_publish_in_a_transaction() -> None:
    text = """
    def view():
        with transaction.atomic():
            mail.delay(1)
            mail.delay_on_commit(2)
            transaction.on_commit(lambda: mail.delay(3))
            def later():
                mail.delay(4)
        mail.delay(5)

    @transaction.atomic
    def other():
        if True:
            mail.apply_async((6,))
    """
    assert rules(text) == [(3, "delay-in-transaction"), (13, "delay-in-transaction")]


def test_two_tasks_of_one_name_over_files() -> None:
    one = Source("one.py", HEAD + "@shared_task(name='mail')\ndef f(): ...\n\n@shared_task\ndef g(): ...\n")
    two = Source("two.py", HEAD + "@shared_task(name='mail')\ndef h(): ...\n\n@shared_task\ndef g(): ...\n")
    same = Source("same.py", HEAD + "@shared_task\ndef f(): ...\n\n@shared_task\ndef f(): ...\n")

    assert [(each.file, each.rule) for each in check_sources([one, two, same], Bounds())] == [
        ("same.py", "same-name"),
        ("two.py", "same-name"),
    ]


@pytest.mark.parametrize(
    ("comment", "left"),
    [("# fleet: ignore", 0), ("# fleet: ignore[no-expiry]", 0), ("# fleet: ignore[no-pool]", 1), ("", 1)],
)
def test_a_line_may_say_that_it_is_meant(comment: str, left: int) -> None:
    assert len(rules(f"@app.task(expires=None)  {comment}\ndef f(): ...")) == left


def test_folders_are_read_but_for_tests_and_migrations_and_what_can_not_be_parsed_is_said(
    tmp_path: Path,
) -> None:
    bad = HEAD + "@shared_task(expires=None)\ndef f(): ...\n"
    for name in ("shop.py", "test_shop.py", "tests/a.py", "migrations/0001.py", "inner/b.py"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(bad)
    (tmp_path / "newer.py").write_text("import celery\ndef (: pass\n")
    (tmp_path / "plain.py").write_text("def (: pass\n")

    found = check([tmp_path])

    assert [(Path(each.file).name, each.rule) for each in found] == [
        ("b.py", "no-expiry"),
        ("newer.py", "not-read"),
        ("shop.py", "no-expiry"),
    ]
    assert str(found[2]).endswith(
        ": [no-expiry] f never expires: after an outage of days it runs what nobody wants any more. Fix: say "
        "after how many seconds it is of no use, or leave expires out for the fleet's week."
    )
