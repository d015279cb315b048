"""Turn a container's image into a directory for its ``PYTHONPATH``.

An image here is a zip that `cdk deploy` put into the emulated S3, unpacked once under the hash of its
address, or the work tree itself (`taskfleet.contract.images`).
"""

from __future__ import annotations

import hashlib
import io
import shutil
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from taskfleet.contract import images

from local.agent.definitions import StartError


class Images:
    """The images of this machine. Safe to use from several threads; one image is fetched once."""

    def __init__(self, *, s3: Any, directory: Path, live_source: Path) -> None:
        self._s3, self._directory, self._live_source = s3, directory, live_source
        self._lock = threading.Lock()

    def resolve(self, image: str) -> Path:
        """The image's directory. Raises `StartError`, worded as ECS does, if there is no such image."""
        if image == images.LIVE:
            return self._live_source
        if (place := images.split_local(image)) is None:
            raise StartError(
                f"CannotPullContainerError: {image!r} is not an image of this machine; it runs "
                f"{images.local('<bucket>', '<key>')} and {images.LIVE}"
            )
        # The lock is held while fetching: tasks of one release start together and need the same image.
        with self._lock:
            return self._fetch(*place)

    def _fetch(self, bucket: str, key: str) -> Path:
        target = self._directory / hashlib.sha256(f"{bucket}/{key}".encode()).hexdigest()[:16]
        if target.is_dir():
            return target
        self._directory.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=self._directory, prefix="partial-"))
        try:
            body = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            with zipfile.ZipFile(io.BytesIO(body)) as archive:
                archive.extractall(partial)
            partial.rename(target)
        except (BotoCoreError, ClientError, zipfile.BadZipFile, OSError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise StartError(f"CannotPullContainerError: s3://{bucket}/{key}: {error}") from error
        return target
