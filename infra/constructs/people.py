"""For those who run `fleet`: one policy to look, and one to look and act, to attach to their roles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import ArnFormat
from aws_cdk import aws_iam as iam
from taskfleet.contract import dead_letters, names, parameters, state, tools

from infra.constructs.managed import managed_policy
from infra.constructs.permissions import Grants, Permissions, allow


def people_policies(people: People) -> None:
    """Both managed policies, their ARNs as the outputs ``ViewerPolicyArn`` and ``OperatorPolicyArn``."""
    stack, environment, region = people.stack, people.settings.name, people.settings.region
    managed_policy(
        stack,
        "ViewerPolicy",
        name=names.viewer_policy(environment, region),
        grants=people.viewer(),
        description=f"Look at the Taskfleet environment {environment} with `fleet`",
        attach="Attach it to the role of who looks with `fleet`: docs/operators.md",
    )
    managed_policy(
        stack,
        "OperatorPolicy",
        name=names.operator_policy(environment, region),
        grants=people.operator(),
        description=f"Look at the Taskfleet environment {environment} with `fleet`, and act with --yes",
        attach="Attach it to the role of who acts with `fleet`: docs/operators.md",
    )


@dataclass(frozen=True, kw_only=True)
class People(Permissions):
    """What the `fleet` command calls; `tests/taskfleet/cli/test_access.py` runs each subcommand."""

    def viewer(self) -> Grants:
        """Every subcommand without ``--yes`` but `fleet run`.

        Dead letters and tasks with a far ETA, which have arguments, can be read.
        """
        letters = self._dead_letters()
        statements = [
            allow(
                "State", ("GetItem", "BatchGetItem", "Scan"), [self.base.state_table_arn], service="dynamodb"
            ),
            allow("Letters", ("dynamodb:Query",), [letters, f"{letters}/index/{dead_letters.INDEX}"]),
            allow("Producers", ("dynamodb:Query",), [self._producers(), self._etas()]),
            self._tools("Tools", "GetItem", (*_STEERED, tools.PIPELINES)),
            self._key("kms:Decrypt"),
            allow("Base", ("ssm:GetParameters",), [self._parameter(f"{self._base()}/*")]),
            allow("Pointer", ("ssm:GetParameters",), self._pointer()),
            allow("Services", ("ecs:DescribeServices",), [self._ecs("service", "*")]),
            allow("StoppedTasks", ("ecs:DescribeTasks",), [self._ecs("task", "*")]),
            allow(
                "ListTasks",
                ("ecs:ListTasks",),
                ["*"],  # its only resource type is the container instance; the cluster narrows it
                {"ArnEquals": {"ecs:cluster": self._cluster()}},
            ),
            allow("Alarms", ("cloudwatch:DescribeAlarms",), [self._alarms()]),
            allow("Caches", ("elasticache:DescribeReplicationGroups",), self._groups()),
            allow(
                "Passwords",
                ("DescribeSecret", "ListSecretVersionIds"),  # how far a rotation is, not what it says
                self._cache_secrets(),
                service="secretsmanager",
            ),
        ]
        wildcards = {
            "*": "ecs:ListTasks has no resource-level permission; a condition narrows it to this cluster.",
            self._parameter(
                f"{self._base()}/*"
            ): "What the long-lived stacks tell the later ones; no secret.",
            self._ecs("service", "*"): "The services of releases, which come and go; this cluster's only.",
            self._ecs("task", "*"): "The tasks of this cluster, which come and go.",
            self._alarms(): "DescribeAlarms by a prefix is a question about all alarms; it changes nothing.",
        }
        return Grants(statements=statements, wildcards=wildcards)

    def operator(self) -> Grants:
        """What a viewer may, every subcommand with ``--yes``, and `fleet run`."""
        look, run, releases = self.viewer(), self._one_off(), self._releases()
        statements = [
            *look.statements,
            allow(
                "Decide",
                ("dynamodb:PutItem",),
                [self.base.state_table_arn],
                {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [*_DECIDED]}},
            ),
            allow("Publish", ("ssm:PutParameter",), self._pointer()),
            allow("LookAtStacks", ("cloudformation:DescribeStacks",), [releases]),
            # Not those of another owner: `fleet` does not know the settings, as little as the controller.
            allow("Retire", ("cloudformation:DeleteStack",), [releases], {"StringEquals": self._our_tags()}),
            allow("Scale", ("ecs:UpdateService",), [self._ecs("service", "*")]),
            allow("DeleteLetters", ("dynamodb:DeleteItem",), [self._dead_letters()]),
            allow("Forget", ("dynamodb:DeleteItem",), [self._producers(), self._etas()]),
            allow("Redrive", ("sqs:GetQueueUrl", "sqs:SendMessage"), [self._fallbacks()]),
            self._nothing_to_dead_letters(),
            self._data_key(),
            self._tools("Steer", "UpdateItem", _STEERED),
            allow("RotateTokens", ("elasticache:ModifyReplicationGroup",), self._groups()),
            allow(
                "RotatePasswords",
                ("GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"),
                self._cache_secrets(),
                service="secretsmanager",
            ),
            *run.statements,
        ]
        wildcards = {
            releases: "The stacks of releases, which come and go, and their ids, which AWS makes.",
            **self._queue_wildcards(),
        }
        return Grants(
            statements=[*map(_unnamed, statements)],
            wildcards={**look.wildcards, **run.wildcards, **wildcards},
        )

    def _tools(self, sid: str, action: str, keys: Sequence[str]) -> iam.PolicyStatement:
        """Of the tools table only what people steer: locks and limits are the workers' own."""
        return allow(
            sid,
            (f"dynamodb:{action}",),
            [self.base.tools_table_arn],
            {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(keys)}},
        )

    def _data_key(self) -> iam.PolicyStatement:
        """For what is sent to an encrypted queue, and a new version of a cache's secret."""
        via = [f"{service}.{self.stack.region}.amazonaws.com" for service in ("secretsmanager", "sqs")]
        return allow(
            "Encrypt",
            ("kms:GenerateDataKey",),
            [self.base.key_arn],
            {"StringEquals": {"kms:ViaService": via}},
        )

    def _base(self) -> str:
        return f"{parameters.root(self._env)}/base"

    def _groups(self) -> list[str]:
        """Of the broker, and of the results' cache where there is one."""
        found = [self.settings.broker_group]
        if self.settings.results_cache is not None:
            found.append(names.results_cache(self._env))
        return [
            self.stack.format_arn(
                service="elasticache",
                resource="replicationgroup",
                resource_name=name,
                arn_format=ArnFormat.COLON_RESOURCE_NAME,
            )
            for name in found
        ]

    def _cache_secrets(self) -> list[str]:
        """Theirs."""
        results = self.base.results_secret_arn
        return [self.base.broker_secret_arn, *([] if results is None else [results])]


# Chunked runs, rates, and items in pipelines.
_STEERED = (
    tools.CHUNKED,
    tools.chunked("*"),
    tools.RATES,
    tools.pipeline("*"),
    tools.pipeline_item("*"),
)

# What a person writes into the state table; the rest of it is written by the controller, beat and workers.
_DECIDED = (state.POINTER, state.RELEASES, state.HOLDS)


def _unnamed(statement: iam.PolicyStatement) -> iam.PolicyStatement:
    """Without its id, so that the CDK merges it with its like: IAM takes 6,144 characters."""
    return iam.PolicyStatement.from_json(
        {key: value for key, value in statement.to_json().items() if key != "Sid"}
    )
