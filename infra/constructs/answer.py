"""Where a release's deploy waits for its gate: the controller lets CloudFormation finish or fail it."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ssm as ssm
from constructs import Construct
from taskfleet.contract import limits, parameters

from infra.settings import Settings


class Answer(Construct):
    """The last resource of a release's stack.

    Everything else must exist before: what failed after the answer would take a release away that is current.

    A wait condition waits when it is made, and never again. So where releases are rolled each ``build`` has
    its own, and a handle of its own, as one that is added by an update must have (AWS CloudFormation template
    reference, "AWS::CloudFormation::WaitConditionHandle").
    """

    def __init__(
        self, scope: cdk.Stack, id: str, *, settings: Settings, release: str, build: str | None = None
    ) -> None:
        super().__init__(scope, id)
        handle = cdk.CfnWaitConditionHandle(self, f"Handle{build or ''}")
        url = ssm.StringParameter(
            self,
            "Url",
            parameter_name=parameters.release_answer(settings.name, release),
            # The controller must not answer for one build what it has found of another.
            string_value=handle.ref if build is None else f"{handle.ref} {build}",
            description="Where CloudFormation waits for the controller: whether the release passed its gate.",
        )
        # The controller looks at a release once its manifest exists; it must then know where to answer.
        self.before_manifest: Construct = url
        self._condition = cdk.CfnWaitCondition(
            self, f"Gate{build or ''}", handle=handle.ref, timeout=str(limits.ANSWER_WITHIN_SECONDS), count=1
        )

    def wait_for_all_others(self) -> None:
        """Call it when the stack has all its resources."""
        stack = cdk.Stack.of(self)
        others = [child for child in stack.node.children if child is not self]
        self._condition.node.add_dependency(self.before_manifest, *others)
