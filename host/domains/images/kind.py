"""The entry of a user's own images in the registry."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from PIL import Image, ImageOps

from ...data.decoded import decoded
from ...data.labelled import read_labelled
from ...errors import InputError
from ...supernet.backbones import Backbone
from ...tables import read_table
from ...tasks import Task
from ..answers import AnswerReader
from ..protocol import About, DataSources
from .domain import LabelDomain
from .objective import LabelObjective
from .settings import ImageSettings
from .space import LabelSpace
from .tasks import all_tasks

_CACHE = "images"  # fingerprints and pixels


def covering(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The middle of a picture, scaled so that it covers the size, as training images are."""
    return ImageOps.fit(image, size, Image.Resampling.BICUBIC)


class ImagesKind:
    name = "images"
    about = About(
        title="labelled images",
        pretraining="all labels of an image",
        tests="Accuracy on at most {n} test images per task, every answer counting alike",
        images="Images: {data}.",
    )

    def settings(self, table: Mapping[str, Any]) -> ImageSettings:
        return read_table(ImageSettings, table, f"domain {self.name!r}")

    def space(self, data: Mapping[str, Any]) -> LabelSpace:
        return LabelSpace.from_json(data)

    def tasks(self, space: LabelSpace) -> tuple[Task, ...]:
        return all_tasks(space)

    def open(
        self, settings: ImageSettings, backbone: Backbone, sources: DataSources, space: LabelSpace | None = None
    ) -> LabelDomain:
        """Raises `InputError` without a folder, for one that cannot be used, and where a trained supernet's images or
        their splits have changed since."""
        if sources.folder is None:
            raise InputError(
                "labelled images are needed; name their folder (one folder per class) or their table with `data`"
            )
        cache = sources.cache / _CACHE
        images = read_labelled(sources.folder, cache, partial(sources.progress, "images looked at"))
        if space is not None and space.images_sha256 != images.digest:
            raise InputError(
                f"the images of {sources.folder} are not those that the supernet was trained on (digest "
                f"{images.digest[:12]}, then {space.images_sha256[:12]}): files, labels or splits have changed, and "
                "test images may have been trained on; name the folder as it was, or train again"
            )
        shape = backbone.image_shape
        tell = partial(sources.progress, "images decoded")
        return LabelDomain(images, shape, partial(decoded, images, shape, cache, tell))

    def objective(self, domain: LabelDomain, settings: ImageSettings) -> LabelObjective:
        return LabelObjective(domain, settings)

    def reader(self, outputs: Mapping[str, Any]) -> AnswerReader:
        channels, height, width = outputs["image_shape"]
        return AnswerReader.of(outputs, (int(channels), int(height), int(width)), "labels", covering)


IMAGES = ImagesKind()
