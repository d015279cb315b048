"""cdk-nag's AwsSolutions rules over every stack, and the one way to acknowledge a finding."""

from __future__ import annotations

from aws_cdk import Acknowledgment, App, Validations
from cdk_nag import AwsSolutionsChecks
from constructs import IConstruct


def add_to(app: App) -> None:
    """Check the whole app at synth: a finding that nobody acknowledged stops it."""
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """Accept one finding (``AwsSolutions-…``) on this construct alone; ``reason`` goes into the ledger.

    Give the narrowest construct that has the finding: the acknowledgement covers all below it.
    Raises ``ValueError`` without a reason.
    """
    if len(reason.split()) < 3:
        raise ValueError(
            f"acknowledging {rule} at {construct.node.path or 'the app'} needs a reason, in a sentence"
        )
    Validations.of(construct).acknowledge(Acknowledgment(id=rule, reason=reason))
