"""The worker image, where it is not built here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from infra.rules.problem import Problem

if TYPE_CHECKING:
    from infra.settings import Settings

_ECR = re.compile(r"\d{12}\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.")


def _digest(settings: Settings) -> Iterator[Problem]:
    image = settings.image
    if image.uri is not None and image.digest is None:
        yield Problem(
            setting="image.digest",
            value=None,
            rule=f"an image that is built elsewhere ({image.uri}) needs its digest: a tag can be moved",
            fix="digest='sha256:…', as the push printed it",
        )
    if image.digest is not None and not re.fullmatch(r"sha256:[0-9a-f]{64}", image.digest):
        yield Problem(
            setting="image.digest",
            value=image.digest,
            rule="a digest is sha256: and 64 hexadecimal digits",
            fix="copy the whole of what the push printed",
        )


def _uri(settings: Settings) -> Iterator[Problem]:
    image = settings.image
    if image.uri is None and image.digest is not None:
        yield Problem(
            setting="image.uri",
            value=None,
            rule="a digest says which image only together with its repository",
            fix="give uri too, or neither",
        )
    if image.uri is not None and ("@" in image.uri or ":" in image.uri.rpartition("/")[2]):
        yield Problem(
            setting="image.uri",
            value=image.uri,
            rule="the repository alone, without a tag or a digest",
            fix="cut it off, and put the digest into image.digest",
        )


def _pulled(settings: Settings) -> Iterator[Problem]:
    """Without a way to the internet images come through an endpoint: from ECR, of the own region."""
    uri, network = settings.image.uri, settings.network
    if uri is None or network.egress != "endpoints":
        return
    of_ecr = _ECR.match(uri)
    # A VPC that exists may reach a registry of the team's own.
    if (of_ecr["region"] == settings.region) if of_ecr else network.existing:
        return
    yield Problem(
        setting="image.uri",
        value=uri,
        rule=f"with egress='endpoints' tasks reach no registry but ECR of {settings.region}",
        fix=f"push the image to <account>.dkr.ecr.{settings.region}.amazonaws.com, or egress=Egress.NAT",
    )


RULES = (_digest, _uri, _pulled)
