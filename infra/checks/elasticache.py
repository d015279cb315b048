"""What ElastiCache offers: no validator knows these (FACTS, 4), so that a typo would fail the deploy.

Sources: the ElastiCache user guide, "Engine versions and upgrading", "Supported node types" and
"Engine specific parameters". Add a line here when AWS adds one.
"""

from __future__ import annotations

import re

# Engine version → parameter group family.
FAMILIES: dict[str, dict[str, str]] = {
    "valkey": {
        "7.2": "valkey7",
        "8.0": "valkey8",
        "8.1": "valkey8",
        "8.2": "valkey8",
        "9.0": "valkey9",
        "9.1": "valkey9",
    },
    # Not 6.2, which ElastiCache has too: the transport's scripts need Redis 7 (`taskfleet.brokers.redis`).
    "redis": {"7.0": "redis7", "7.1": "redis7"},
}

_GRAVITON = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge")
_INTEL = ("large", "xlarge", "2xlarge", "4xlarge", "12xlarge", "24xlarge")
_BURSTING = ("micro", "small", "medium")
NODE_SIZES: dict[str, tuple[str, ...]] = {
    "t3": _BURSTING,
    "t4g": _BURSTING,
    "m5": _INTEL,
    "r5": _INTEL,
    "m6g": _GRAVITON,
    "m7g": _GRAVITON,
    "m8g": _GRAVITON,
    "r6g": _GRAVITON,
    "r7g": _GRAVITON,
    "r8g": _GRAVITON,
    # Not r6gd: with data tiering a broker's messages would move between memory and disk.
    "c7gn": _GRAVITON,
    "c8gn": _GRAVITON,
}
# AWS's price list of October 2026 has these for Valkey alone.
VALKEY_ONLY = frozenset({"m8g", "r8g", "c8gn"})


def parameter_group_family(engine: str, version: str) -> str:
    """The family of a custom parameter group. Raises ``KeyError`` for what ElastiCache does not offer."""
    return FAMILIES[engine][version]


def is_for(node_type: str, engine: str) -> bool:
    """Whether this engine can have a node type that exists."""
    return engine == "valkey" or node_type.split(".")[1] not in VALKEY_ONLY


def node_type_exists(node_type: str) -> bool:
    """Whether a node type of the current or the previous generation has this name."""
    match = re.fullmatch(r"cache\.([a-z0-9]+)\.([a-z0-9]+)", node_type)
    return match is not None and match[2] in NODE_SIZES.get(match[1], ())
