"""What an image is called where there is no container registry: in the account on this machine.

There an image is the zip that `cdk deploy` put into a bucket, or the work tree itself.
"""

from __future__ import annotations

LOCAL_REGISTRY = "taskfleet.localhost"

# The work tree: never uploaded; its workers are restarted when a file changes.
LIVE = f"{LOCAL_REGISTRY}/live"


def local(bucket: str, key: str) -> str:
    """The image that is a zip in a bucket of the local account."""
    return f"{LOCAL_REGISTRY}/{bucket}/{key}"


def split_local(image: str) -> tuple[str, str] | None:
    """``(bucket, key)`` of an image that `local` named, or None for any other, `LIVE` included."""
    registry, _, path = image.partition("/")
    bucket, _, key = path.partition("/")
    return (bucket, key) if registry == LOCAL_REGISTRY and bucket and key else None
