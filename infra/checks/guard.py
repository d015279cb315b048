"""Rules that stop synth where neither CloudFormation's own validation nor cfn-lint looks (FACTS, 4).

The settings are checked before (`infra.rules`); these hold for whatever ends up in a template, so also
for a stack that somebody adds. Written in CloudFormation Guard, evaluated offline by the CDK.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from aws_cdk import App, CloudFormationValidatePlugin, ValidationRuleSource, Validations

from infra.checks import elasticache

# In the description of a parameter group that may evict: no other may.
EVICTING = "a cache for results"

_HEADER = f"""
let replication_groups = Resources.*[ Type == 'AWS::ElastiCache::ReplicationGroup' ]
let parameter_groups = Resources.*[ Type == 'AWS::ElastiCache::ParameterGroup' ]
let brokers_parameter_groups = Resources.*[
  Type == 'AWS::ElastiCache::ParameterGroup'
  Properties.Description != /{EVICTING}/
]
let services = Resources.*[ Type == 'AWS::ECS::Service' ]
"""


def rules() -> str:
    """All of them, as Guard reads them."""
    return "\n".join(
        (
            _HEADER,
            _rule(
                "broker_auth_needs_tls",
                "replication_groups",
                "[ Properties.AuthToken exists ].Properties.TransitEncryptionEnabled == true",
                "A password without TLS can be read on the wire. Set TransitEncryptionEnabled.",
            ),
            _rule(
                "broker_failover_needs_two_nodes",
                "replication_groups",
                "[ Properties.AutomaticFailoverEnabled == true ].Properties.NumCacheClusters >= 2",
                "Failover needs a replica to promote. Set NumCacheClusters to 2 or more.",
            ),
            _rule(
                "broker_node_type_exists",
                "replication_groups",
                f".Properties.CacheNodeType IN {_list(_node_types())}",
                "ElastiCache has no such node type. See infra/checks/elasticache.py.",
            ),
            *(
                _rule(
                    f"broker_{engine}_version_exists",
                    "replication_groups",
                    f"[ Properties.Engine == '{engine}' ].Properties.EngineVersion IN {_list(versions)}",
                    f"ElastiCache has no such version of {engine}. See infra/checks/elasticache.py.",
                )
                for engine, versions in elasticache.FAMILIES.items()
            ),
            _rule(
                "broker_never_evicts",
                "brokers_parameter_groups",
                ".Properties.Properties.'maxmemory-policy' == 'noeviction'",
                "A broker that evicts keys loses tasks. Set maxmemory-policy to noeviction.",
            ),
            _rule(
                "results_go_oldest_first",
                "parameter_groups",
                f"[ Properties.Description == /{EVICTING}/ ].Properties.Properties.'maxmemory-policy' "
                "== 'volatile-ttl'",
                "A cache for results evicts what expires first. Set maxmemory-policy to volatile-ttl.",
            ),
            _rule(
                "desired_count_not_negative",
                "services",
                "[ Properties.DesiredCount exists ].Properties.DesiredCount >= 0",
                "A service can't have fewer than no tasks.",
            ),
        )
    )


def add_to(app: App) -> None:
    """Evaluate them at synth, beside the CDK's own rules (which stay on)."""
    Validations.of(app).add_plugins(_plugin())


@cache
def _plugin() -> CloudFormationValidatePlugin:
    """One per process, for as many apps as tests build: its engine takes two seconds to start."""
    return CloudFormationValidatePlugin(guard_rules=[ValidationRuleSource(name="taskfleet", content=rules())])


def _rule(name: str, resources: str, clause: str, message: str) -> str:
    return f"rule taskfleet_{name} when %{resources} !empty {{\n  %{resources}{clause} <<{message}>>\n}}\n"


def _node_types() -> list[str]:
    return [f"cache.{family}.{size}" for family, sizes in elasticache.NODE_SIZES.items() for size in sizes]


def _list(values: Iterable[str]) -> str:
    return "[" + ", ".join(f"'{value}'" for value in values) + "]"
