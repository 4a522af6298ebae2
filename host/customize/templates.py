"""The template of a supernet: converted once, kept in the workspace, shared by every device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from edgewright.converters.precision import Precision
from edgewright.device_agent.template import Template, TemplateError, TemplateSite
from numpy.typing import NDArray
from torch import nn

from ..assembler.archive import TrainedSupernet
from ..delivery.quantization import N_IMAGES
from ..errors import InputError, MeasurementError, StorageError
from ..file_lock import file_lock
from ..files import write_atomic
from ..tasks.domain import TaskDomain, calibration_images

SUFFIX = ".ewt"
_OTHERS_S = 600.0  # another process that builds it


def template_path(trained: TrainedSupernet, folder: Path, precision: Precision = Precision.FLOAT32) -> Path:
    return folder / f"{trained.digest}{'' if precision is Precision.FLOAT32 else f'.{precision}'}{SUFFIX}"


def load_or_build(
    trained: TrainedSupernet,
    folder: Path,
    on_status: Callable[[str], None] = lambda sentence: None,
    precision: Precision = Precision.FLOAT32,
    domain: TaskDomain | None = None,
) -> Template:
    """The template from `folder`, or a new one, which takes two conversions (some ten seconds).

    That of another precision than float32 is made of the float32 one, calibrated on the domain's images of all tasks.

    Raises:
        InputError: the file in `folder` is damaged or of another version.
        MeasurementError: the supernet cannot be converted, or the converted one computes something else.
    """
    path = template_path(trained, folder, precision)
    if not path.exists():
        with file_lock(folder / f".{path.name}.lock", _OTHERS_S, lambda: on_status(f"waiting for {path} to be built")):
            if not path.exists():  # another process may just have built it
                write_atomic(path, _built(trained, folder, on_status, precision, domain).to_bytes())
    try:
        return Template.from_bytes(path.read_bytes())
    except TemplateError as error:
        raise InputError(f"template {path} cannot be used ({error}); remove the file; it will be made again") from error
    except OSError as error:
        raise StorageError(f"cannot read template {path}: {error}; remove the file; it will be made again") from error


def _built(
    trained: TrainedSupernet,
    folder: Path,
    on_status: Callable[[str], None],
    precision: Precision,
    domain: TaskDomain | None,
) -> Template:
    if precision is Precision.FLOAT32:
        on_status("converting the supernet once (about ten seconds); every subnet is then cut out of it")
        return _converted(trained)
    float32 = load_or_build(trained, folder, on_status)
    on_status(f"quantising the supernet to {precision} once (a few seconds)")
    return _quantized(trained, float32, precision, domain)


def _converted(trained: TrainedSupernet) -> Template:
    from edgewright.converters.build import build_template
    from edgewright.converters.errors import ConversionError

    supernet = trained.supernet.eval()
    space = supernet.space

    def extract(masks: Mapping[str, NDArray[np.bool_]]) -> nn.Module:
        return supernet.extract(space.from_masks(masks))

    example = torch.zeros(1, *trained.image_shape)
    sites = [TemplateSite(site.name, site.width, site.block) for site in space.sites]
    try:
        return build_template(supernet.extract(space.full()), example, sites, extract)
    except ConversionError as error:
        raise MeasurementError(f"the supernet cannot become a template: {error}") from error


def _quantized(
    trained: TrainedSupernet, template: Template, precision: Precision, domain: TaskDomain | None
) -> Template:
    from edgewright.converters.errors import ConversionError
    from edgewright.converters.quantized_template import quantize_template

    supernet = trained.supernet.eval()
    if domain is None:
        raise InputError(f"a template in {precision} needs a domain's images to be calibrated on")
    images = calibration_images(domain, domain.tasks, N_IMAGES, np.random.default_rng(0))
    try:
        return quantize_template(template, supernet.extract(supernet.space.full()), precision, images)
    except ConversionError as error:
        raise MeasurementError(f"the supernet cannot be profiled in {precision}: {error}") from error
