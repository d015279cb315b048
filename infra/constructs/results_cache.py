"""A cache of its own for results: an ElastiCache group beside the broker's, which evicts when it is full."""

from __future__ import annotations

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct
from taskfleet.contract import names, results

from infra.base import stateful
from infra.checks import elasticache as catalogue
from infra.checks.guard import EVICTING
from infra.checks.nag import acknowledge
from infra.constructs.cache import admit, cache_secret, log_deliveries, private_subnets
from infra.settings import ResultsCache as Given
from infra.settings import Settings


class ResultsCache(Construct):
    """The group and its ``secret``; ``url`` is what workers and producers get as the result backend."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        cache: Given,
        key: kms.IKey,
        vpc: ec2.IVpc,
        workers: ec2.ISecurityGroup,
    ) -> None:
        super().__init__(scope, id)
        self._settings, self._cache, self._key, self._vpc = settings, cache, key, vpc
        self.secret = self._secret()
        group = self._group(self._security_group(workers))
        self.url = results.cache_url(group.attr_primary_end_point_address, group.attr_primary_end_point_port)

    def _secret(self) -> secretsmanager.Secret:
        secret = cache_secret(
            self,
            settings=self._settings,
            name=names.results_secret(self._settings.name),
            description="User and password of the cache for results; read at run time",
            key=self._key,
        )
        acknowledge(
            secret,
            "AwsSolutions-SMG4",
            "An AUTH token is rotated in two steps on the replication group itself (ROTATE, then SET), for "
            "which Secrets Manager has no rotation function: `fleet results rotate-password` takes both. "
            "Every process reads the secret when it connects.",
        )
        return secret

    def _security_group(self, workers: ec2.ISecurityGroup) -> ec2.SecurityGroup:
        settings, cache = self._settings, self._cache
        group = ec2.SecurityGroup(
            self,
            "SecurityGroup",
            vpc=self._vpc,
            description="The cache for results: workers, and producers that the settings name",
            allow_all_outbound=False,
        )
        more, setting = (settings.broker.ingress, "broker.ingress")
        if cache.ingress is not None:
            more, setting = cache.ingress, "results.ingress"
        admit(group, cache.port, workers=workers, more=more, setting=setting)
        return group

    def _group(self, security_group: ec2.SecurityGroup) -> elasticache.CfnReplicationGroup:
        settings, cache = self._settings, self._cache
        group = elasticache.CfnReplicationGroup(
            self,
            "ReplicationGroup",
            replication_group_id=names.results_cache(settings.name),
            replication_group_description=f"Results of the tasks of Taskfleet {settings.name}",
            engine=cache.engine.value,
            engine_version=cache.engine_version,
            cache_node_type=cache.node_type,
            num_cache_clusters=cache.nodes,
            automatic_failover_enabled=cache.fails_over,
            multi_az_enabled=cache.fails_over,
            port=cache.port,
            auth_token=self.secret.secret_value_from_json("password").unsafe_unwrap(),  # a dynamic reference
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            at_rest_encryption_enabled=True,
            kms_key_id=self._key.key_arn,
            cache_parameter_group_name=self._parameters().ref,
            cache_subnet_group_name=private_subnets(self, self._vpc).ref,
            security_group_ids=[security_group.security_group_id],
            # What expires within a day is not worth a snapshot, which takes memory while it is made.
            snapshot_retention_limit=0,
            preferred_maintenance_window="sun:05:30-sun:06:30",  # after the broker's
            auto_minor_version_upgrade=True,
            log_delivery_configurations=log_deliveries(self, settings=settings, key=self._key),
        )
        group.apply_removal_policy(stateful(settings))
        if not cache.fails_over:
            acknowledge(
                group,
                "AwsSolutions-AEC4",
                "The environment asks for one node (results.nodes=1), which is cheaper. While it is away "
                "tasks run and are acknowledged; the results that it held are lost.",
            )
        return group

    def _parameters(self) -> elasticache.CfnParameterGroup:
        """Where it is full, what would expire first goes first: every result of Celery's has its time."""
        cache = self._cache
        return elasticache.CfnParameterGroup(
            self,
            "Parameters",
            cache_parameter_group_family=catalogue.parameter_group_family(cache.engine, cache.engine_version),
            description=f"Taskfleet {self._settings.name}: {EVICTING}, which evicts the oldest",
            properties={"maxmemory-policy": "volatile-ttl"},
        )
