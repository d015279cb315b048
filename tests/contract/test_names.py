"""The names that both sides build: their rules, their limits, and that no two of them meet."""

from __future__ import annotations

import itertools
import re

import pytest
from taskfleet.contract import limits, names, parameters
from taskfleet.contract import state as keys

LONGEST = {"environment": "e" * 12, "pool": "p" * 20, "queue": "q" * 24, "release": "r" * 24}

GOOD = {
    "environment": ["local", "dev", "prod", "eu1"],
    "pool": ["high", "cpu_bound", "p"],
    "queue": ["low", "etl_by_account", "q"],
    "release": ["s0123456789", "r1", "2026-11-20", "1", "live"],
}
BAD = {
    "environment": ["", "p", "Prod", "eu-1", "1eu", "e" * 13, "ré", "dev\n", "a b"],
    "pool": ["", "High", "cpu-bound", "1p", "p" * 21, "a.b", "*"],
    "queue": ["", "low.v1", "Low", "q-1", "q" * 25, "dead", "low\x06\x163", "_q"],
    "release": ["", "none", "R1", "-r", "r-", "r" * 25, "a.b", "a_b", "v1\n", "r1-fallback"],
}


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k, all_ in GOOD.items() for n in all_])
def test_a_good_name_is_kept_as_it_is(kind: str, name: str) -> None:
    assert names.check(kind, name) == name


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k, all_ in BAD.items() for n in all_])
def test_a_bad_name_is_refused_with_the_name_and_the_rule(kind: str, name: str) -> None:
    with pytest.raises(names.InvalidName, match=re.escape(repr(name))) as refused:
        names.check(kind, name)
    assert "it must match" in str(refused.value)


@pytest.mark.parametrize(("kind", "longest"), LONGEST.items())
def test_the_longest_name_is_good_and_one_more_is_not(kind: str, longest: str) -> None:
    assert names.check(kind, longest)
    with pytest.raises(names.InvalidName):
        names.check(kind, longest + longest[0])


def test_a_versioned_queue_is_split_into_what_it_was_made_of() -> None:
    for queue, release in itertools.product(GOOD["queue"], GOOD["release"]):
        assert names.split_versioned_queue(names.versioned_queue(queue, release)) == (queue, release)


@pytest.mark.parametrize(
    "name", ["low", "celery", "low.", ".r1", "low.r1.r2", "low.R1", "Low.r1", "", "a.b.c"]
)
def test_any_other_name_is_no_versioned_queue(name: str) -> None:
    assert names.split_versioned_queue(name) is None


def test_names_fit_what_aws_allows() -> None:
    env, pool, queue, release = LONGEST.values()
    sqs = re.compile(r"[A-Za-z0-9_-]{1,80}")
    assert sqs.fullmatch(names.fallback_queue(env, queue, release))
    assert sqs.fullmatch(names.dead_letter_queue(env, queue))
    restored = names.broker(env, "automatic.taskfleet-prod-001-2026-11-20-03-10")
    assert len(restored) <= 40  # ElastiCache, replication group id
    assert re.fullmatch(r"[a-z](?:-?[a-z0-9])*", restored)
    assert len(names.service(pool, release, fallback=True)) <= 255  # ECS, service name
    assert len(names.release_stack(env, release)) <= 128  # CloudFormation, stack name
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", names.release_stack(env, release))
    assert len(names.alarm(env, "controller-silent", pool, release)) <= 255  # CloudWatch
    assert len(parameters.release_manifest(env, release)) <= 1011  # SSM


def test_no_two_things_share_a_name() -> None:
    env, releases, queues = "dev", ("a", "b", "a-b", "low"), ("low", "high", "low_a")
    twins = [names.fallback_queue(env, q, r) for q in queues for r in releases]
    dead = [names.dead_letter_queue(env, q) for q in queues]
    assert len({*twins, *dead}) == len(twins) + len(dead)
    services = [names.service(p, r, fallback=f) for p in queues for r in releases for f in (False, True)]
    fixed = [names.CONTROLLER_SERVICE, names.BEAT_SERVICE]
    assert len({*services, *fixed}) == len(services) + len(fixed)


def test_kombu_makes_the_twins_name_from_its_prefix_and_the_versioned_queue() -> None:
    prefixed = names.fallback_prefix("dev") + names.versioned_queue("low", "r1").replace(".", "-")
    assert prefixed == names.fallback_queue("dev", "low", "r1")


def test_keys_of_the_state_table_do_not_meet() -> None:
    made = [
        keys.release("beat"),
        keys.release("r1"),
        keys.gate("low.r1", "primary"),
        keys.gate("low.r1", "fallback"),
    ]
    fixed = [keys.POINTER, keys.LOOK, keys.BEAT]
    assert len({*made, *fixed}) == len(made) + len(fixed)
    prefix = keys.GATES.rstrip("*")
    assert [key for key in (*made, *fixed) if key.startswith(prefix)] == made[2:]


def test_parameters_lie_under_their_environment_and_base_names_are_known() -> None:
    for path in (
        parameters.current_release("dev"),
        parameters.release_manifest("dev", "r1"),
        *(parameters.base("dev", name) for name in parameters.BASE),
    ):
        assert path.startswith("/taskfleet/dev/")
    with pytest.raises(names.InvalidName, match="one of vpc-id"):
        parameters.base("dev", "broker-hots")


def test_redis_lists_are_those_that_kombu_serves_in_its_order() -> None:
    from kombu.transport.redis import PRIORITY_STEPS, Channel

    assert list(limits.REDIS_PRIORITY_STEPS) == PRIORITY_STEPS
    assert Channel.sep == limits.REDIS_PRIORITY_SEPARATOR
    channel = Channel.__new__(Channel)
    kombus = tuple(Channel._q_for_pri(channel, "low.r1", step) for step in PRIORITY_STEPS)
    assert limits.redis_lists("low.r1") == kombus
