"""What a pool's containers get, and how many there may be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from infra.rules.problem import Problem

if TYPE_CHECKING:
    from infra.settings import Pool, Settings

_GIB = 1024
# ECS, "Task size": which memory (MiB) Fargate has for which cpu units.
FARGATE_MEMORY: dict[int, tuple[int, ...]] = {
    256: (512, 1 * _GIB, 2 * _GIB),
    512: tuple(range(1 * _GIB, 4 * _GIB + 1, _GIB)),
    1024: tuple(range(2 * _GIB, 8 * _GIB + 1, _GIB)),
    2048: tuple(range(4 * _GIB, 16 * _GIB + 1, _GIB)),
    4096: tuple(range(8 * _GIB, 30 * _GIB + 1, _GIB)),
    8192: tuple(range(16 * _GIB, 60 * _GIB + 1, 4 * _GIB)),
    16384: tuple(range(32 * _GIB, 120 * _GIB + 1, 8 * _GIB)),
}
_INSTANCE_TYPE = re.compile(
    r"(?P<family>[a-z]+)\d+(?P<options>[a-z-]*)\."
    r"(?P<size>nano|micro|small|medium|\d*x?large|metal(?:-\d+xl)?)"
)
# Those whose vCPU count for EC2's quota of "Standard (A, C, D, H, I, M, R, T, Z) instances".
_STANDARD = frozenset({"a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"})
SMALLEST_CHILD_MIB = 64  # an empty Celery child with the AWS SDK loaded takes about this much


def _at_least(settings: Settings) -> Iterator[Problem]:
    smallest = {
        "concurrency": 1,
        "cpu_units": 128,
        "memory_mib": 128,
        "parent_memory_mib": 1,
        "min_workers": 0,
        "max_workers": 1,
        "warm_fallback_workers": 0,
        "max_fallback_workers": 1,
        "latency_target_seconds": 1,
    }
    for pool in settings.pools:
        for name, least in smallest.items():
            value = getattr(pool, name)
            if value is not None and value < least:
                yield Problem(
                    setting=f"pool {pool.name}: {name}",
                    value=value,
                    rule=f"at least {least}",
                    fix=f"{least} or more",
                )


def _min_max(settings: Settings) -> Iterator[Problem]:
    for pool in settings.pools:
        if pool.min_workers > pool.max_workers:
            yield Problem(
                setting=f"pool {pool.name}: min_workers",
                value=pool.min_workers,
                rule=f"must not be more than max_workers = {pool.max_workers}",
                fix="raise max_workers, or lower min_workers",
            )
        most = pool.max_workers if pool.max_fallback_workers is None else pool.max_fallback_workers
        if pool.warm_fallback_workers > most:
            yield Problem(
                setting=f"pool {pool.name}: warm_fallback_workers",
                value=pool.warm_fallback_workers,
                rule=f"must not be more than max_fallback_workers = {most}",
                fix="raise max_fallback_workers, or lower warm_fallback_workers",
            )


def _memory(settings: Settings) -> Iterator[Problem]:
    for pool in settings.pools:
        if pool.concurrency < 1:
            continue  # said by `_at_least`, and nothing to share the memory among
        needed = pool.child_memory_mib * pool.concurrency + pool.parent_memory_mib
        if needed > pool.memory_mib:
            yield Problem(
                setting=f"pool {pool.name}: max_memory_per_child_mib",
                value=pool.child_memory_mib,
                rule=(
                    f"{pool.child_memory_mib} MiB x concurrency {pool.concurrency} + parent "
                    f"{pool.parent_memory_mib} MiB = {needed} MiB must fit into "
                    f"memory_mib = {pool.memory_mib}, or the kernel kills children that obey their limit"
                ),
                fix="lower it or the concurrency, or raise memory_mib",
            )
        if pool.execution == "prefork" and pool.child_memory_mib < SMALLEST_CHILD_MIB:
            yield Problem(
                setting=f"pool {pool.name}: memory_mib",
                value=pool.memory_mib,
                rule=(
                    f"leaves {pool.child_memory_mib} MiB for each of {pool.concurrency} children, and one "
                    f"needs {SMALLEST_CHILD_MIB} before it has done anything: "
                    "it would be replaced after every task"
                ),
                fix="raise memory_mib (or max_memory_per_child_mib), or lower the concurrency",
            )


def _child_memory_is_prefork(settings: Settings) -> Iterator[Problem]:
    for pool in settings.pools:
        if pool.max_memory_per_child_mib is not None and pool.execution != "prefork":
            yield Problem(
                setting=f"pool {pool.name}: max_memory_per_child_mib",
                value=pool.max_memory_per_child_mib,
                rule=f"{pool.execution.value} has no children to replace: nothing would enforce it",
                fix="leave it out, or use execution=Execution.PREFORK",
            )


def _fargate_size(settings: Settings) -> Iterator[Problem]:
    for pool in settings.pools:
        if pool.capacity == "ec2":
            continue
        if pool.cpu_units not in FARGATE_MEMORY:
            yield Problem(
                setting=f"pool {pool.name}: cpu_units",
                value=pool.cpu_units,
                rule=f"Fargate has {', '.join(map(str, FARGATE_MEMORY))}",
                fix="choose one of them, or capacity=Capacity.EC2",
            )
        elif pool.memory_mib not in FARGATE_MEMORY[pool.cpu_units]:
            sizes = FARGATE_MEMORY[pool.cpu_units]
            yield Problem(
                setting=f"pool {pool.name}: memory_mib",
                value=pool.memory_mib,
                rule=f"Fargate with cpu_units = {pool.cpu_units} has {', '.join(map(str, sizes))}",
                fix=f"the nearest is {min(sizes, key=lambda size: abs(size - pool.memory_mib))}",
            )


def _instance_type(settings: Settings) -> Iterator[Problem]:
    for pool in settings.pools:
        if pool.capacity != "ec2":
            continue
        has = architecture_of(pool)
        if has is None or has != settings.image.architecture.value:
            yield Problem(
                setting=f"pool {pool.name}: instance_type",
                value=pool.instance_type,
                rule=(
                    "an EC2 instance type is named like m7g.large"
                    if has is None
                    else f"its processor is {has}, and the image is for {settings.image.architecture.value}"
                ),
                fix="choose a type of the image's architecture (m7g for arm64, m7i for x86_64)",
            )


def architecture_of(pool: Pool) -> str | None:
    """``arm64`` or ``x86_64``, from the type's name: a g after the generation is Graviton. None: no type."""
    match = _INSTANCE_TYPE.fullmatch(pool.instance_type)
    if match is None:
        return None
    return "arm64" if match["options"].startswith("g") or match["family"] == "a" else "x86_64"


def vcpus(instance_type: str) -> int:
    """Of one instance, as EC2's quota of standard instances counts it; 0 for a type that it does not count.

    Nor are those counted that are a whole machine (``metal``), whose size the name does not say.
    """
    match = _INSTANCE_TYPE.fullmatch(instance_type)
    if match is None or match["family"] not in _STANDARD or match["size"].startswith("metal"):
        return 0
    if match["size"] in ("nano", "micro", "small", "medium", "large"):
        return 1 if match["size"] == "medium" and match["family"] != "t" else 2
    return 4 * int(match["size"].removesuffix("xlarge") or 1)


RULES = (_at_least, _min_max, _memory, _child_memory_is_prefork, _fargate_size, _instance_type)
