"""The worker image, where it is not built here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from infra.rules.problem import Problem

if TYPE_CHECKING:
    from infra.settings import Settings


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


RULES = (_digest, _uri)
