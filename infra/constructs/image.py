"""The worker image: built from ``worker_image/``, given by URI and digest, or, on this machine, a zip."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aws_cdk import IgnoreMode, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct
from taskfleet.contract import images

from infra.release_id import NOT_SOURCE, WORKER_IMAGE, built_from
from infra.settings import Architecture, Image, Settings

_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/(?P<name>[a-z0-9._/-]+)"
)

_PLATFORMS = {
    Architecture.ARM64: ecr_assets.Platform.LINUX_ARM64,
    Architecture.X86_64: ecr_assets.Platform.LINUX_AMD64,
}


@dataclass(frozen=True, kw_only=True)
class WorkerImage:
    """What every container runs. ``live`` (on this machine only) is the work tree itself."""

    settings: Settings
    live: bool = False

    @property
    def identity(self) -> str:
        """What the manifest says that a release runs: the same for the same code, on every stack."""
        image = self.settings.image
        if self.live:
            return images.LIVE
        if image.uri is not None:
            return f"{image.uri}@{image.digest}"
        return f"source:{built_from(image)}"

    def container(self, scope: Construct) -> ecs.ContainerImage:
        """The image for the task definitions in ``scope``; call it once per stack.

        What must be uploaded before the stack can be deployed becomes an asset of the stack.
        """
        image = self.settings.image
        if self.live:
            return ecs.ContainerImage.from_registry(images.LIVE)
        if image.uri is not None:
            return _given(scope, image)
        if self.settings.on_this_machine:
            return ecs.ContainerImage.from_registry(_zip(scope))
        return ecs.ContainerImage.from_docker_image_asset(_built(scope, self.settings))


def _given(scope: Construct, image: Image) -> ecs.ContainerImage:
    """ECS gets the right to pull where IAM gives it, that is from a repository in ECR."""
    uri, digest = image.uri or "", image.digest or ""  # `infra.rules`: one never comes without the other
    ours = _ECR.fullmatch(uri)
    if ours is None:
        return ecs.ContainerImage.from_registry(f"{uri}@{digest}")
    arn = Stack.of(scope).format_arn(
        service="ecr",
        account=ours["account"],
        region=ours["region"],
        resource="repository",
        resource_name=ours["name"],
    )
    repository = ecr.Repository.from_repository_attributes(
        scope, "Repository", repository_arn=arn, repository_name=ours["name"]
    )
    return ecs.ContainerImage.from_ecr_repository(repository, digest)


def _built(scope: Construct, settings: Settings) -> ecr_assets.DockerImageAsset:
    return ecr_assets.DockerImageAsset(
        scope,
        "Image",
        directory=str(WORKER_IMAGE),
        build_args={"BASE": settings.image.base},
        platform=_PLATFORMS[settings.image.architecture],
        exclude=list(NOT_SOURCE),
        ignore_mode=IgnoreMode.DOCKER,
    )


def _zip(scope: Construct) -> str:
    asset = s3_assets.Asset(
        scope,
        "Image",
        path=str(WORKER_IMAGE / "src"),
        exclude=list(NOT_SOURCE),
        ignore_mode=IgnoreMode.DOCKER,
    )
    return images.local(asset.s3_bucket_name, asset.s3_object_key)
