"""What each role's containers may do. No ``*`` action; a ``*`` resource only where AWS has no other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from taskfleet.contract import dead_letters, metrics, names, parameters, state

from infra.constructs.arns import Arns
from infra.settings import Pool, Results, Settings

_SEND = ("sqs:GetQueueUrl", "sqs:SendMessage")
_CONSUME = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility")
_COUNT = ("sqs:GetQueueUrl", "sqs:GetQueueAttributes")

# The services that ask KMS in the caller's name when they give or take what is encrypted with the key.
_ENCRYPTED = ("secretsmanager", "sqs", "dynamodb")

# Why a role has statements on ``*``: the CDK adds these for ECS Exec.
_EXEC = "ECS Exec's ssmmessages actions and logs:DescribeLogGroups have no resource-level permissions."


@dataclass(frozen=True, kw_only=True)
class Base:
    """ARNs of the long-lived resources that containers use."""

    key_arn: str
    broker_secret_arn: str
    state_table_arn: str
    tools_table_arn: str
    results_secret_arn: str | None = None  # where results have a cache of their own


@dataclass(frozen=True, kw_only=True)
class Grants:
    """A role's statements, and for each resource with a wildcard the reason for it."""

    statements: list[iam.PolicyStatement]
    wildcards: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Permissions(Arns):
    """Statements for the containers of one environment, scoped to what is its own."""

    base: Base

    def worker(self, release: str) -> Grants:
        """Consume and publish its own release's queues, park dead letters, prove gates."""
        own = self._own_queues(release)
        statements = [
            *self._find_release(),
            self._broker_password(),
            self._key("kms:Decrypt", "kms:GenerateDataKey"),
            # kombu asks for a queue's redrive policy before it deletes a message that was rejected.
            allow("Consume", (*_SEND, "sqs:GetQueueAttributes", *_CONSUME), own),
            allow("Park", ("dynamodb:PutItem",), [self._dead_letters(), self._etas()]),
            allow(
                "Tools", ("GetItem", "PutItem", "UpdateItem"), [self.base.tools_table_arn], service="dynamodb"
            ),
            allow(
                "ProveGates",
                ("dynamodb:PutItem",),
                [self.base.state_table_arn],
                {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [state.GATES]}},
            ),
            *self._signatures(release),
            self._revoke("dynamodb:BatchGetItem", "dynamodb:UpdateItem"),
            # The ECS agent asks with the task's role. A task's ARN names its cluster.
            allow("Protect", ("ecs:UpdateTaskProtection",), [self._ecs("task", "*")]),
            *self._results("dynamodb:UpdateItem"),  # counts the header tasks of a chord
        ]
        return Grants(
            statements=statements,
            wildcards={
                **_exec_wildcards(self),
                **self._manifest_wildcards(),
                self._ecs("task", "*"): "Itself: a task's id is not known before it runs.",
            },
        )

    def beat(self, release: str | None = None) -> Grants:
        """Publish; say that it ticks, take turns, remember what it sent.

        To any release: what is due goes where it is bound to (`taskfleet.etas`).
        """
        publish = self._publish(follows=release is None)
        shared = [state.BEAT_RUNS, state.BEAT_TURN]
        ready = [] if release is None else [state.gate_beat(release)]
        statements = [
            *publish.statements,
            allow(
                "Tick",
                ("dynamodb:PutItem",),
                [self.base.state_table_arn],
                {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [state.BEAT, *shared, *ready]}},
            ),
            allow(
                "RecallRuns",
                ("dynamodb:GetItem",),
                [self.base.state_table_arn],
                {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": shared}},
            ),
            allow(
                "SendEtas", ("Query", "BatchGetItem", "BatchWriteItem"), [self._etas()], service="dynamodb"
            ),
            allow("Park", ("dynamodb:PutItem",), [self._dead_letters()]),
        ]
        return Grants(statements=statements, wildcards={**_exec_wildcards(self), **publish.wildcards})

    def producer(self) -> Grants:
        """Publish to whichever release is current, revoke, use results, and nothing else."""
        publish = self._publish()
        revoke = self._revoke("dynamodb:UpdateItem")
        return Grants(statements=[*publish.statements, revoke, *self._results()], wildcards=publish.wildcards)

    def _publish(self, *, follows: bool = True) -> Grants:
        """To the queues of any release."""
        statements = [
            *self._find_release(follows=follows),
            self._broker_password(),
            self._key("kms:Decrypt", "kms:GenerateDataKey"),
            allow("Publish", _SEND, [self._fallbacks()]),
            allow("Lease", ("dynamodb:PutItem", "dynamodb:DeleteItem"), [self._producers()]),
            # Also of many at once: a transaction asks IAM for each of its puts.
            allow("KeepEtas", ("dynamodb:PutItem",), [self._etas()]),
            self._nothing_to_dead_letters(),
        ]
        wildcards = {**self._manifest_wildcards(), **self._queue_wildcards()}
        return Grants(statements=statements, wildcards=wildcards)

    def controller(self) -> Grants:
        """Measure, move releases through their states, and publish the pointer.

        It deletes what it has moved from SQS into the store, and the stacks of releases that have retired:
        only those that carry this environment's tags. CloudFormation deletes with the role that it made the
        stack with; who may operate on a stack need not have that role, nor pass it (AWS CloudFormation User
        Guide, "AWS CloudFormation service role").
        """
        queues = [queue for pool in self.settings.pools for queue in pool.queues]
        dead = [self._queue(names.dead_letter_queue(self.settings.name, queue)) for queue in queues]
        index = f"{self._dead_letters()}/index/{dead_letters.INDEX}"
        statements = [
            allow("Point", ("ssm:GetParameters", "ssm:PutParameter"), self._pointer()),
            self._broker_password(),
            self._key("kms:Decrypt", "kms:GenerateDataKey"),
            # Gate tasks; as for producers, the pattern of the queues matches those of dead letters, too.
            allow("SendGates", ("sqs:SendMessage",), [self._fallbacks()]),
            self._nothing_to_dead_letters(),
            allow("CountMessages", _COUNT, [self._fallbacks()]),
            # What is left in a release that is retired with --park; gate tasks that nobody will run.
            allow("EmptyQueues", ("sqs:ReceiveMessage", "sqs:DeleteMessage"), [self._fallbacks()]),
            # A retired release's queues refuse what is sent to them.
            allow("CloseQueues", ("sqs:SetQueueAttributes",), [self._fallbacks()]),
            allow("TakeDeadLetters", ("sqs:ReceiveMessage", "sqs:DeleteMessage"), dead),
            # One is deleted again if a worker took its message while it was parked.
            allow("KeepDeadLetters", ("dynamodb:PutItem", "dynamodb:DeleteItem"), [self._dead_letters()]),
            allow("CountDeadLetters", ("dynamodb:Query",), [index]),
            allow("ListProducers", ("dynamodb:Query",), [self._producers()]),
            allow("NextEta", ("dynamodb:Query",), [self._etas()]),
            allow(
                "State", ("BatchGetItem", "PutItem", "Scan"), [self.base.state_table_arn], service="dynamodb"
            ),
            allow(
                "ListManifests",
                ("ssm:GetParametersByPath",),
                [
                    self._parameter(self._manifests()),
                    self._parameter(parameters.releases_begun(self._env)),
                ],
            ),
            # Its answer needs none: CloudFormation's URL is signed.
            allow(
                "ListDeployments",
                ("ssm:GetParametersByPath",),
                [self._parameter(parameters.release_answers(self._env))],
            ),
            allow("Services", ("ecs:DescribeServices",), [self._ecs("service", "*")]),
            # To nothing, for a release that sleeps; IAM has no condition for the number of workers.
            allow("Sleep", ("ecs:UpdateService",), [self._ecs("service", "*")]),
            allow("LookAtStacks", ("cloudformation:DescribeStacks",), [self._releases()]),
            allow(
                "DeleteReleases",
                ("cloudformation:DeleteStack",),
                [self._releases()],
                {"StringEquals": self._our_tags()},
            ),
            allow("StoppedTasks", ("ecs:DescribeTasks",), [self._ecs("task", "*")]),
            allow(
                "ListTasks",
                ("ecs:ListTasks",),
                ["*"],  # its only resource type is the container instance; the cluster narrows it
                {"ArnEquals": {"ecs:cluster": self._cluster()}},
            ),
            # Of a release that bakes.
            allow("Alarms", ("cloudwatch:DescribeAlarms",), [self._alarms()]),
            allow(
                "Measure",
                ("cloudwatch:PutMetricData",),
                ["*"],  # has no resource-level permission; the namespace narrows it
                {"StringEquals": {"cloudwatch:namespace": metrics.NAMESPACE}},
            ),
        ]
        own = {
            "*": f"{f'{_EXEC} ' if self.settings.allows_exec else ''}cloudwatch:PutMetricData has none: a "
            "condition narrows it to a namespace. Nor has ecs:ListTasks, which one narrows to this cluster.",
            self._ecs("task", "*"): "The tasks of this cluster, which come and go.",
            self._ecs("service", "*"): "The services of releases, which come and go; this cluster's only.",
            self._releases(): "The stacks of releases, which come and go, and their ids, which AWS makes.",
            self._alarms(): "DescribeAlarms by a prefix is a question about all alarms; it changes nothing.",
        }
        shared = {**_exec_wildcards(self), **self._queue_wildcards()}
        if not self.settings.before_gate:
            return Grants(statements=statements, wildcards={**shared, **own})
        run = self._one_off(self.settings.default_pool)
        return Grants(statements=[*statements, *run.statements], wildcards={**shared, **own, **run.wildcards})

    def _one_off(self, pool: Pool | None = None) -> Grants:
        """Run a command beside a pool's workers (`taskfleet.one_off`), read its output, stop it.

        Without ``pool`` of any: named one by one they would not fit into a managed policy. Roles of releases
        are all that is handed over, so that nothing else can be started.
        """
        definitions, output = self._definitions(pool), self._output(pool)
        roles, tasks = self._release_roles(), self._ecs("task", "*")
        to_ecs: dict[str, str | list[str]] = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
        statements = [
            allow("Run", ("ecs:RunTask",), [definitions], {"ArnEquals": {"ecs:cluster": self._cluster()}}),
            allow("PassRoles", ("iam:PassRole",), [roles], {"StringEquals": to_ecs}),
            allow("Stop", ("ecs:StopTask",), [tasks]),
            allow("Output", ("logs:GetLogEvents",), [output]),
        ]
        wildcards = {
            definitions: "The task definitions of releases, which come and go; of this environment.",
            output: "The log streams of releases, which come and go; of this environment.",
            roles: "The roles of releases, which come and go: their path has no others in it.",
            tasks: "The tasks of this cluster, which come and go.",
        }
        return Grants(statements=statements, wildcards=wildcards)

    def _find_release(self, *, follows: bool = True) -> list[iam.PolicyStatement]:
        """Read the current release, the split and the manifests: from the state table while SSM fails.

        Who follows the current release reads the split in the same request; producers of the version before
        this one read the current release alone.
        """
        current = self._parameter(parameters.current_release(self._env))
        manifests = self._parameter(f"{self._manifests()}/*")
        return [
            allow("FindRelease", ("ssm:GetParameter",), [current, manifests]),
            *([allow("FindSplit", ("ssm:GetParameters",), self._pointer())] if follows else []),
            allow(
                "FindReleaseInState",
                ("dynamodb:GetItem",),
                [self.base.state_table_arn],
                {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [state.POINTER, state.RELEASES]}},
            ),
        ]

    def _signatures(self, release: str) -> list[iam.PolicyStatement]:
        """Where releases are rolled: of the build before, and of one that is being deployed."""
        if not self.settings.is_rolled:
            return []
        readable = [state.signatures(release), state.newest_signatures(release)]
        return [
            allow(
                "ReadSignatures",
                ("dynamodb:GetItem",),
                [self.base.state_table_arn],
                {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": readable}},
            )
        ]

    def _revoke(self, *actions: str) -> iam.PolicyStatement:
        """Of the state table only what says which tasks are revoked."""
        return allow(
            "Revoke",
            actions,
            [self.base.state_table_arn],
            {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [state.REVOKES]}},
        )

    def _results(self, *more: str) -> list[iam.PolicyStatement]:
        """Log in to the results' cache; or what Celery's DynamoDB backend does: look at its table, then
        keep, read and forget results."""
        if self.base.results_secret_arn is not None:
            read = ("secretsmanager:GetSecretValue",)
            return [allow("ResultsPassword", read, [self.base.results_secret_arn])]
        if not isinstance(self.settings.results, Results):
            return []
        looks = ("DescribeTable", "DescribeTimeToLive", "GetItem", "PutItem", "DeleteItem")
        actions = (*(f"dynamodb:{action}" for action in looks), *more)
        return [allow("Results", actions, [self._table(names.results_table(self._env))])]

    def _broker_password(self) -> iam.PolicyStatement:
        return allow("BrokerPassword", ("secretsmanager:GetSecretValue",), [self.base.broker_secret_arn])

    def _key(self, *actions: str) -> iam.PolicyStatement:
        """Not for whatever else is encrypted with it, the logs for one: only what these services hold."""
        via = [f"{service}.{self.stack.region}.amazonaws.com" for service in _ENCRYPTED]
        return allow("UseKey", actions, [self.base.key_arn], {"StringEquals": {"kms:ViaService": via}})

    def _manifest_wildcards(self) -> dict[str, str]:
        return {self._parameter(f"{self._manifests()}/*"): "The manifests of releases, which come and go."}

    def _nothing_to_dead_letters(self) -> iam.PolicyStatement:
        """The pattern of all fallback queues matches these too, and what is sent there nobody would run."""
        return iam.PolicyStatement(
            sid="NothingToDeadLetters",
            effect=iam.Effect.DENY,
            actions=["sqs:SendMessage"],
            resources=[self._queue(f"{names.dead_letter_prefix(self._env)}*")],
        )

    def _queue_wildcards(self) -> dict[str, str]:
        return {
            self._fallbacks(): "Fallback queues of releases, which come and go; no other environment's name "
            "starts so."
        }

    def _our_tags(self) -> dict[str, str | list[str]]:
        tags = names.stack_tags(self._env, self.settings.owner)
        return {f"aws:ResourceTag/{key}": value for key, value in tags.items()}


def _exec_wildcards(permissions: Permissions) -> dict[str, str]:
    """What the CDK adds to a task's role for ECS Exec, where there is such a thing."""
    if not permissions.settings.allows_exec:
        return {}
    streams = shell_log_streams(permissions.stack, permissions.settings)
    return {"*": _EXEC, streams: "Log streams of the one log group of shells."}


def shell_log_streams(stack: Stack, settings: Settings) -> str:
    """The log streams of ECS Exec's log group, as the CDK writes them into a policy."""
    return stack.format_arn(
        service="logs",
        resource="log-group",
        resource_name=f"{names.log_group(settings.name, names.SHELLS)}:*",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )


def allow(
    sid: str,
    actions: Iterable[str],
    resources: list[str],
    conditions: dict[str, dict[str, str | list[str]]] | None = None,
    *,
    service: str | None = None,
) -> iam.PolicyStatement:
    """One statement; ``service`` stands before each of ``actions`` where they don't name it themselves."""
    return iam.PolicyStatement(
        sid=sid,
        actions=[f"{service}:{action}" if service else action for action in actions],
        resources=resources,
        conditions=conditions,
    )
