"""Answers a CloudFormation wait condition: one PUT to the URL that its handle was given.

The body's form and the empty content type, which the URL's signature covers: AWS CloudFormation User Guide,
"Create wait conditions in a CloudFormation template".
"""

from __future__ import annotations

import json
import urllib.request

UNIQUE_ID = "controller"  # a second signal with the same id changes nothing
_REASON_LENGTH = 1000
_SECONDS = 5.0


def send(url: str, *, success: bool, reason: str) -> None:
    """Send it. ``OSError`` if it was not taken."""
    body = json.dumps(
        {
            "Status": "SUCCESS" if success else "FAILURE",
            "UniqueId": UNIQUE_ID,
            "Reason": reason[:_REASON_LENGTH],
            "Data": reason[:_REASON_LENGTH],
        }
    ).encode()
    # The URL is CloudFormation's own, from a parameter that only the release's stack writes.
    request = urllib.request.Request(url, data=body, headers={"Content-Type": ""}, method="PUT")  # noqa: S310
    with urllib.request.urlopen(request, timeout=_SECONDS):  # noqa: S310
        pass
